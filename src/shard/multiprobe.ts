import type { Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import { changeBetween, type Placement, ranksOf } from "./placement.ts";
import { pointsOf } from "./points.ts";
import { TokenList, Tokens } from "./tokens.ts";
import { carryOf, isBelow, SIGN } from "./uint64.ts";
import { digestHigh, digestLow, hashInput, input } from "./xxhash64.ts";

const PROBES = 21;

/**
 * ckit's multi-probe hashing (https://arxiv.org/abs/1505.00062): one token for each unit of weight, and 21 probes
 * per key, of which the one that comes nearest to a token decides. Distances do not go round the circle.
 */
export class Multiprobe implements Placement {
  static readonly empty = new Multiprobe([], Tokens.none);

  private constructor(
    readonly seats: readonly Seat[],
    private readonly tokens: Tokens,
  ) {}

  over(seats: readonly Seat[]): Multiprobe {
    const { gone, come } = changeBetween(this.seats, seats);
    const added = new TokenList(come.reduce((sum, seat) => sum + seat.weight, 0));
    for (const seat of come) added.addAll(pointsOf(seat.key, 0, seat.weight), seat.slot);
    return new Multiprobe(seats, this.tokens.changed(gone, added, ranksOf(seats)));
  }

  owner(high: number, low: number): number {
    return this.tokens.size === 0 ? -1 : this.tokens.slotOf(this.#closest(high, low));
  }

  pick(high: number, low: number, picked: Picked): void {
    this.tokens.walk(this.#closest(high, low), picked);
  }

  /** Index of the token that a probe comes nearest to. */
  #closest(keyHigh: number, keyLow: number): number {
    const { tokens } = this;
    hashHex(keyHigh, keyLow);
    let high = digestHigh();
    let low = digestLow();
    hashHex(high, low);
    const stepHigh = digestHigh();
    const stepLow = digestLow();
    let closest = 0;
    // Distances are compared `^ SIGN`; this is the greatest.
    let leastHigh = ~SIGN;
    let leastLow = ~SIGN;
    for (let probe = 0; probe < PROBES; probe++) {
      const next = tokens.successor(high, low);
      const successor = next === tokens.size ? 0 : next;
      const predecessor = next === 0 ? tokens.size - 1 : next - 1;
      // The predecessor is tried first: of two that are equally near it is the one.
      for (let side = 0; side < 2; side++) {
        const index = side === 0 ? predecessor : successor;
        const tokenHigh = tokens.highOf(index);
        const tokenLow = tokens.lowOf(index);
        const isAbove = isBelow(high ^ SIGN, low ^ SIGN, tokenHigh ^ SIGN, tokenLow ^ SIGN);
        const distanceLow = isAbove ? tokenLow - low : low - tokenLow;
        const borrow = isAbove ? borrowOf(tokenLow, low) : borrowOf(low, tokenLow);
        const distanceHigh = (isAbove ? tokenHigh - high : high - tokenHigh) - borrow;
        if (!isBelow(distanceHigh ^ SIGN, distanceLow ^ SIGN, leastHigh, leastLow)) continue;
        closest = index;
        leastHigh = distanceHigh ^ SIGN;
        leastLow = distanceLow ^ SIGN;
      }
      high = (high + stepHigh + carryOf(low, stepLow)) | 0;
      low = (low + stepLow) | 0;
    }
    return closest;
  }
}

/** 1 if `a - b` of two lower halves borrows from the upper ones. */
function borrowOf(a: number, b: number): number {
  return a >>> 0 < b >>> 0 ? 1 : 0;
}

/** XXH64 of the integer in lower-case hexadecimal digits, without leading zeros. */
function hashHex(high: number, low: number): void {
  const digits = high === 0 ? hexDigits(low) : 8 + hexDigits(high);
  let [upper, lower] = [high, low];
  for (let at = digits - 1; at >= 0; at--) {
    const digit = lower & 0xf;
    input[at] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    lower = (lower >>> 4) | (upper << 28);
    upper >>>= 4;
  }
  hashInput(digits);
}

function hexDigits(half: number): number {
  return Math.max(8 - (Math.clz32(half) >> 2), 1);
}
