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

/** 2^16 + 1, the usual size of Maglev's table. */
const FERMAT_4 = 65_537;

/** By it 2^16 leaves -1, so a remainder is an alternating sum of digits of 16 bits: a third of the time. */
function byFermat4(high: number, low: number): number {
  const sum = (low & 0xffff) - (low >>> 16) + (high & 0xffff) - (high >>> 16); // above -2 * 2^16
  return wrapped(wrapped(wrapped(sum - FERMAT_4)));
}

/** Adds 2^16 + 1 to what is negative, without a branch that nothing could predict. */
function wrapped(sum: number): number {
  return sum + (FERMAT_4 & (sum >> 31));
}

/**
 * Remainders by one divisor, of 1 to 2^32, with a single division: 2^48 and 2^32 are reduced once, here. All
 * sums stay below 2^50, where doubles are exact.
 */
export class Modulus {
  readonly #of48: number;
  readonly #of32: number;

  constructor(readonly divisor: number) {
    this.#of32 = 2 ** 32 % divisor;
    this.#of48 = (this.#of32 * 2 ** 16) % divisor;
  }

  remainder(high: number, low: number): number {
    if (this.divisor === FERMAT_4) return byFermat4(high, low);
    const sum = (high >>> 16) * this.#of48 + (high & 0xffff) * this.#of32 + (low >>> 0);
    return sum - Math.floor(sum / this.divisor) * this.divisor;
  }
}
