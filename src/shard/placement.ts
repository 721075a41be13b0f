import type { Picked } from "./picked.ts";
import type { Seat } from "./node.ts";

/** One algorithm over one set of seats, as it is between two changes: it does not change itself. */
export interface Placement {
  /** By key. */
  readonly seats: readonly Seat[];
  /** The same algorithm over these seats, which are sorted by key. Throws `too_large`. */
  over(seats: readonly Seat[]): Placement;
  /** Slot of the owner of a hashed key; -1 if there are no seats. */
  owner(high: number, low: number): number;
  /** Adds the slots of owners to `picked`, the first owner first, until it has enough; there are enough seats. */
  pick(high: number, low: number, picked: Picked): void;
}

export interface Change {
  /** Of those before, the ones that are not there now. */
  readonly gone: readonly Seat[];
  /** Of those now, the ones that were not there before. */
  readonly come: readonly Seat[];
}

export function changeBetween(before: readonly Seat[], now: readonly Seat[]): Change {
  const were = new Set(before);
  const are = new Set(now);
  return {
    gone: before.filter((seat) => !are.has(seat)),
    come: now.filter((seat) => !were.has(seat)),
  };
}

export function isSame(before: readonly Seat[], now: readonly Seat[]): boolean {
  return before.length === now.length && before.every((seat, index) => seat === now[index]);
}

/** By slot: where its seat stands among these. */
export function ranksOf(seats: readonly Seat[]): Int32Array {
  const ranks = new Int32Array(seats.reduce((most, { slot }) => Math.max(most, slot + 1), 0));
  seats.forEach(({ slot }, index) => {
    ranks[slot] = index;
  });
  return ranks;
}
