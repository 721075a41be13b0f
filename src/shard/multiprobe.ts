import type { Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import { changeBetween, type Placement, ranksOf } from "./placement.ts";
import { pointsOf } from "./points.ts";
import { STRIDE, TokenList, Tokens } from "./tokens.ts";
import { carryOf, isBelow, SIGN } from "./uint64.ts";
import { digestHigh, digestLow, hashInput, input } from "./xxhash64.ts";

const PROBES = 21;

/**
 * ckit's multi-probe hashing (https://arxiv.org/abs/1505.00062): one token for each unit of weight, and 21 probes
 * per key, of which the one that comes nearest to a token decides. Distances do not go round the circle.
 */
export class Multiprobe implements Placement {
  static readonly empty = new Multiprobe([], Tokens.none);

  /** Of a lookup: the closest so far, and the halves of its distance, each `^ SIGN`. */
  #closestPlace = 0;
  #leastHigh = 0;
  #leastLow = 0;

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
    return this.tokens.end === 0 ? -1 : this.tokens.slotAt(this.#closest(high, low));
  }

  pick(high: number, low: number, picked: Picked): void {
    this.tokens.walk(this.#closest(high, low), picked);
  }

  /**
   * Place of the token that a probe comes nearest to: of two that are equally near the predecessor, and that of
   * the earlier probe. ckit also tries the last token as the predecessor of a probe before all tokens, and the
   * first as the successor of one behind all: as distances do not go round, neither is ever the nearest.
   */
  #closest(keyHigh: number, keyLow: number): number {
    const { tokens } = this;
    this.#closestPlace = 0;
    hashHex(keyHigh, keyLow);
    let high = digestHigh();
    let low = digestLow();
    hashHex(high, low);
    const stepHigh = digestHigh();
    const stepLow = digestLow();
    this.#leastHigh = ~SIGN;
    this.#leastLow = ~SIGN;
    for (let probe = 0; probe < PROBES; probe++) {
      const next = tokens.successor(high, low);
      if (next > 0) {
        const before = next - STRIDE;
        const borrow = borrowOf(low, tokens.lowAt(before));
        this.#offer(before, high - tokens.highAt(before) - borrow, low - tokens.lowAt(before));
      }
      if (next < tokens.end) {
        const borrow = borrowOf(tokens.lowAt(next), low);
        this.#offer(next, tokens.highAt(next) - high - borrow, tokens.lowAt(next) - low);
      }
      high = (high + stepHigh + carryOf(low, stepLow)) | 0;
      low = (low + stepLow) | 0;
    }
    return this.#closestPlace;
  }

  /** A token's place, and how far it is from a probe. */
  #offer(place: number, awayHigh: number, awayLow: number): void {
    const high = awayHigh ^ SIGN;
    const low = awayLow ^ SIGN;
    if (!isBelow(high, low, this.#leastHigh, this.#leastLow)) return;
    this.#closestPlace = place;
    this.#leastHigh = high;
    this.#leastLow = low;
  }
}

/** 1 if `a - b` of two lower halves borrows from the upper ones. */
function borrowOf(a: number, b: number): number {
  return a >>> 0 < b >>> 0 ? 1 : 0;
}

/** XXH64 of the integer in lower-case hexadecimal digits, without leading zeros. */
function hashHex(high: number, low: number): void {
  const digits = high === 0 ? hexDigits(low) : 8 + hexDigits(high);
  let upper = high;
  let lower = low;
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
