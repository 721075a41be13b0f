/** Why what needs root and these programs cannot be tested; null if it can, and then a failure is one. */
export function missingTools(...programs: string[]): string | null {
  if (process.getuid?.() !== 0) return "it needs root";
  const missing = programs.filter((program) => Bun.which(program) === null);
  return missing.length === 0 ? null : `there is no ${missing.join(", no ")}`;
}
