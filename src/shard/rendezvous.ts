import type { Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import type { Placement } from "./placement.ts";
import { pointsOf } from "./points.ts";
import { isBelow, multiplyHigh, SIGN } from "./uint64.ts";

// xorshift64*, https://vigna.di.unimi.it/ftp/papers/xorshift.pdf: its multiplier, 2685821657736338717.
const MULTIPLIER_HIGH = 0x2545f491 | 0;
const MULTIPLIER_LOW = 0x4f6cdd1d | 0;

/**
 * ckit's rendezvous hashing. A node's score for a key is the lowest that the points of its weight get; the node
 * with the lowest score owns the key, and of equal ones the lower name. A lookup takes time in proportion to
 * the nodes.
 */
export class Rendezvous implements Placement {
  static readonly empty = new Rendezvous([]);

  /** Halves of all points in turn, seat by seat. */
  readonly #points: Int32Array;
  /** By seat: where its points begin, and behind the last where they end. */
  readonly #starts: Int32Array;
  /** What `#score` found, each half `^ SIGN`. */
  #high = 0;
  #low = 0;
  /** The best so far of a lookup of several owners: their seats, and their scores in turn. */
  readonly #bestSeats: Int32Array;
  readonly #bestScores: Int32Array;

  private constructor(readonly seats: readonly Seat[]) {
    const points = seats.map((seat) => pointsOf(seat.key, 0, seat.weight));
    this.#starts = new Int32Array(seats.length + 1);
    points.forEach((own, index) => {
      this.#starts[index + 1] = (this.#starts[index] as number) + own.length;
    });
    this.#points = new Int32Array(this.#starts[seats.length] as number);
    points.forEach((own, index) => {
      this.#points.set(own, this.#starts[index]);
    });
    this.#bestSeats = new Int32Array(seats.length);
    this.#bestScores = new Int32Array(2 * seats.length);
  }

  over(seats: readonly Seat[]): Rendezvous {
    return new Rendezvous(seats);
  }

  owner(high: number, low: number): number {
    let best = -1;
    let bestHigh = 0;
    let bestLow = 0;
    for (let seat = 0; seat < this.seats.length; seat++) {
      this.#score(seat, high, low);
      if (best >= 0 && !isBelow(this.#high, this.#low, bestHigh, bestLow)) continue;
      best = seat;
      bestHigh = this.#high;
      bestLow = this.#low;
    }
    return best < 0 ? -1 : (this.seats[best] as Seat).slot;
  }

  pick(high: number, low: number, picked: Picked): void {
    const wanted = picked.wanted;
    let found = 0;
    for (let seat = 0; seat < this.seats.length; seat++) {
      this.#score(seat, high, low);
      const isAmongBest = found < wanted || this.#isBelowBest(found - 1);
      if (!isAmongBest) continue;
      if (found < wanted) found++;
      this.#insert(seat, found - 1);
    }
    for (let place = 0; place < found; place++) {
      picked.add((this.seats[this.#bestSeats[place] as number] as Seat).slot);
    }
  }

  /** The lowest score of a seat's points. Of the product the lower half matters only beside equal upper ones. */
  #score(seat: number, keyHigh: number, keyLow: number): void {
    const points = this.#points;
    const end = this.#starts[seat + 1] as number;
    const start = this.#starts[seat] as number;
    for (let at = start; at < end; at += 2) {
      let high = (points[at] as number) ^ keyHigh;
      let low = (points[at + 1] as number) ^ keyLow;
      low ^= (low >>> 12) | (high << 20);
      high ^= high >>> 12;
      high ^= (high << 25) | (low >>> 7);
      low ^= low << 25;
      low ^= (low >>> 27) | (high << 5);
      high ^= high >>> 27;
      const upper =
        multiplyHigh(low, MULTIPLIER_LOW) +
        Math.imul(low, MULTIPLIER_HIGH) +
        Math.imul(high, MULTIPLIER_LOW);
      const scoreHigh = upper ^ SIGN;
      const scoreLow = Math.imul(low, MULTIPLIER_LOW) ^ SIGN;
      if (at > start && !isBelow(scoreHigh, scoreLow, this.#high, this.#low)) continue;
      this.#high = scoreHigh;
      this.#low = scoreLow;
    }
  }

  #isBelowBest(place: number): boolean {
    const high = this.#bestScores[2 * place] as number;
    const low = this.#bestScores[2 * place + 1] as number;
    return isBelow(this.#high, this.#low, high, low);
  }

  /** Puts the seat with its score among the best, of which the one at `last` falls out. */
  #insert(seat: number, last: number): void {
    let place = last;
    for (; place > 0 && this.#isBelowBest(place - 1); place--) {
      this.#bestSeats[place] = this.#bestSeats[place - 1] as number;
      this.#bestScores[2 * place] = this.#bestScores[2 * place - 2] as number;
      this.#bestScores[2 * place + 1] = this.#bestScores[2 * place - 1] as number;
    }
    this.#bestSeats[place] = seat;
    this.#bestScores[2 * place] = this.#high;
    this.#bestScores[2 * place + 1] = this.#low;
  }
}
