import { ShardError } from "./errors.ts";
import { hashText } from "./key.ts";
import type { Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import type { Placement } from "./placement.ts";
import { Modulus } from "./uint64.ts";
import { digestHigh, digestLow } from "./xxhash64.ts";

/**
 * Maglev as Envoy has it: hosts take turns in filling a table of a prime size, each along a walk of its own; a key
 * belongs to the host at its remainder. A change makes the table anew.
 * Sources: https://research.google/pubs/pub44824/; envoy, source/extensions/load_balancing_policies/maglev.
 */
export class Maglev implements Placement {
  private constructor(
    /** Of the table's size. */
    private readonly modulus: Modulus,
    readonly seats: readonly Seat[],
    /** Slots. */
    private readonly table: Uint16Array,
  ) {}

  static empty(tableSize: number): Maglev {
    return new Maglev(new Modulus(tableSize), [], new Uint16Array(0));
  }

  over(seats: readonly Seat[]): Maglev {
    const { divisor } = this.modulus;
    if (seats.length > divisor) {
      const problem = `${seats.length} nodes: at most ${divisor}, the size of the table`;
      throw new ShardError("too_large", problem);
    }
    return new Maglev(this.modulus, seats, filled(seats, this.modulus));
  }

  owner(high: number, low: number): number {
    if (this.table.length === 0) return -1;
    return this.table[this.modulus.remainder(high, low)] as number;
  }

  /** Further owners are those that Envoy's attempts 1, 2 and so on come to, which exclude the ones before. */
  pick(high: number, low: number, picked: Picked): void {
    if (this.table.length === 0) return;
    picked.add(this.owner(high, low));
    // Attempt k looks up the hash xor (2^64 - k). As many attempts as there are lower bits in use go through a
    // whole block of successive integers, and so past every place of the table.
    const attempts = 2 ** (32 - Math.clz32(this.modulus.divisor));
    for (let attempt = 1; attempt <= attempts && !picked.isFull; attempt++) {
      picked.add(this.owner(~high, low ^ -attempt));
    }
  }
}

/** Envoy's loop. Weights are normalised, in doubles, as there. */
function filled(seats: readonly Seat[], modulus: Modulus): Uint16Array {
  if (seats.length === 0) return new Uint16Array(0);
  const tableSize = modulus.divisor;
  const forSkips = new Modulus(tableSize - 1);
  const total = seats.reduce((sum, { weight }) => sum + weight, 0);
  const weights = Float64Array.from(seats, ({ weight }) => weight / total);
  const most = weights.reduce((a, b) => Math.max(a, b), 0);
  const targets = new Float64Array(seats.length);
  const places = new Int32Array(seats.length);
  const skips = new Int32Array(seats.length);
  seats.forEach(({ key }, host) => {
    hashText(key);
    places[host] = modulus.remainder(digestHigh(), digestLow());
    hashText(key, 1);
    skips[host] = forSkips.remainder(digestHigh(), digestLow()) + 1;
  });
  const table = new Uint16Array(tableSize);
  const isTaken = new Uint8Array(tableSize);
  let taken = 0;
  for (let iteration = 1; taken < tableSize; iteration++) {
    for (let host = 0; host < seats.length && taken < tableSize; host++) {
      const target = targets[host] as number;
      if (iteration * (weights[host] as number) < target) continue;
      targets[host] = target + most;
      const skip = skips[host] as number;
      let place = places[host] as number;
      while (isTaken[place] === 1) {
        place += skip;
        if (place >= tableSize) place -= tableSize;
      }
      table[place] = (seats[host] as Seat).slot;
      isTaken[place] = 1;
      places[host] = place;
      taken++;
    }
  }
  return table;
}
