const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const BINARY: Readonly<Record<string, number>> = {
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

/**
 * Bytes of `150000`, `64KB`, `256MB`, `1GB` (powers of ten) and `64KiB`, `256MiB`, `1Gi` (powers of two), in any case;
 * null for anything else.
 */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text.trim());
  if (match === null) return null;
  const [, number, unit = "", binary] = match;
  const factor = (binary === "" ? UNITS : BINARY)[unit.toLowerCase()];
  const bytes = factor === undefined ? Number.NaN : Math.round(Number(number) * factor);
  return Number.isSafeInteger(bytes) ? bytes : null;
}
