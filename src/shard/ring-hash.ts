import { hashText } from "./key.ts";
import type { Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import { type Placement, ranksOf } from "./placement.ts";
import { TokenList, Tokens } from "./tokens.ts";
import { digestHigh, digestLow } from "./xxhash64.ts";

export interface RingSizes {
  readonly minRingSize: number;
  readonly maxRingSize: number;
}

/**
 * Envoy's ring hash: entry i of a host is XXH64 of `{key}_{i}`. How many a host has depends on all hosts, so a
 * change makes the ring anew.
 * Source: envoy, source/extensions/load_balancing_policies/ring_hash.
 */
export class RingHash implements Placement {
  private constructor(
    private readonly sizes: RingSizes,
    readonly seats: readonly Seat[],
    private readonly tokens: Tokens,
  ) {}

  static empty(sizes: RingSizes): RingHash {
    return new RingHash(sizes, [], Tokens.none);
  }

  over(seats: readonly Seat[]): RingHash {
    const counts = entryCounts(seats, this.sizes);
    const added = new TokenList(counts.reduce((sum, count) => sum + count, 0));
    seats.forEach(({ key, slot }, index) => {
      for (let entry = 0; entry < (counts[index] as number); entry++) {
        hashText(`${key}_${entry}`);
        added.add(digestHigh(), digestLow(), slot);
      }
    });
    return new RingHash(this.sizes, seats, Tokens.none.changed([], added, ranksOf(seats)));
  }

  owner(high: number, low: number): number {
    return this.tokens.ownerFrom(high, low);
  }

  pick(high: number, low: number, picked: Picked): void {
    this.tokens.walk(this.tokens.successor(high, low), picked);
  }
}

/**
 * Entries of each host. Envoy keeps two running sums in doubles, whose rounding gives some host one more or one
 * less at some numbers of hosts: these are the same operations in the same order.
 */
export function entryCounts(seats: readonly Seat[], sizes: RingSizes): number[] {
  const total = seats.reduce((sum, { weight }) => sum + weight, 0);
  const weights = seats.map(({ weight }) => weight / total);
  const least = weights.reduce((a, b) => Math.min(a, b), 1);
  const scale = Math.min(Math.ceil(least * sizes.minRingSize) / least, sizes.maxRingSize);
  let made = 0;
  let target = 0;
  return weights.map((weight) => {
    target += scale * weight;
    let count = 0;
    while (made < target) {
      made++;
      count++;
    }
    return count;
  });
}
