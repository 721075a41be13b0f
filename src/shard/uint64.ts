// Unsigned 64-bit integers as two signed 32-bit halves: what the machine computes with, where a bigint would be
// allocated.

/** `half ^ SIGN` orders halves as signed integers the way they are ordered as unsigned ones. */
export const SIGN = 0x80000000 | 0;

/** Whether a < b, of halves that went through `^ SIGN`. */
export function isBelow(aHigh: number, aLow: number, bHigh: number, bLow: number): boolean {
  return aHigh === bHigh ? aLow < bLow : aHigh < bHigh;
}

/** Upper 32 bits of the product of two unsigned 32-bit integers. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const right = Math.imul(aHigh, bLow);
  const left = Math.imul(aLow, bHigh);
  const middle = (right & 0xffff) + (left & 0xffff) + (Math.imul(aLow, bLow) >>> 16);
  return (Math.imul(aHigh, bHigh) + (right >>> 16) + (left >>> 16) + (middle >>> 16)) | 0;
}

/** 1 if the sum of two lower halves carries into the upper ones. */
export function carryOf(a: number, b: number): number {
  return (a >>> 0) + (b >>> 0) > 0xffffffff ? 1 : 0;
}

/** The integer modulo `divisor`, which is at most 2^32. Each step stays below 2^53, where doubles are exact. */
export function remainder(high: number, low: number, divisor: number): number {
  const upper = (high >>> 0) * 2 ** 21 + (low >>> 11); // 53 bits
  const rest = (upper - Math.floor(upper / divisor) * divisor) * 2 ** 11 + (low & 0x7ff);
  return rest - Math.floor(rest / divisor) * divisor;
}
