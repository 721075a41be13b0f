/**
 * ASN.1's distinguished encoding rules (ITU-T X.690), as much of them as a certificate needs: the writer
 * for the fixed shapes in certificates.ts. What others send is parsed by the TLS library, never here.
 */
export type Der = Uint8Array;

export function sequence(...parts: Der[]): Der {
  return tagged(0x30, ...parts);
}

export function set(...parts: Der[]): Der {
  return tagged(0x31, ...parts);
}

/** `[number]` around whole elements. */
export function explicit(number: number, ...parts: Der[]): Der {
  return tagged(0xa0 | number, ...parts);
}

/** `[number]` in place of the type's own tag. */
export function implicit(number: number, content: Der): Der {
  return tagged(0x80 | number, content);
}

/** A non-negative integer from its bytes, most significant first. */
export function integer(bytes: Uint8Array): Der {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  // A leading bit of 1 would make it negative.
  return (digits[0] ?? 0) & 0x80
    ? tagged(0x02, new Uint8Array([0]), digits)
    : tagged(0x02, digits.length === 0 ? new Uint8Array([0]) : digits);
}

export function boolean(value: boolean): Der {
  return tagged(0x01, new Uint8Array([value ? 0xff : 0]));
}

export function octets(content: Der): Der {
  return tagged(0x04, content);
}

/** Bits whose last byte has `unused` bits of padding. */
export function bits(content: Uint8Array, unused = 0): Der {
  return tagged(0x03, new Uint8Array([unused]), content);
}

export function utf8(text: string): Der {
  return tagged(0x0c, new TextEncoder().encode(text));
}

/** From dotted text, as in "2.5.4.3". */
export function oid(dotted: string): Der {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tagged(0x06, Uint8Array.from(bytes));
}

/** To the second; RFC 5280 wants two digits of the year up to 2049, four after. */
export function time(wallMs: number): Der {
  const digits = new Date(wallMs).toISOString().replace(/[-:T]|\.\d+/g, "");
  const short = digits < "2050";
  return tagged(short ? 0x17 : 0x18, new TextEncoder().encode(short ? digits.slice(2) : digits));
}

export function tagged(tag: number, ...parts: Der[]): Der {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Uint8Array.from([tag, ...lengthBytes(length)]), ...parts]);
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return [0x80 | bytes.length, ...bytes];
}
