import type { Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import { changeBetween, type Placement, ranksOf } from "./placement.ts";
import { pointsOf } from "./points.ts";
import { TokenList, Tokens } from "./tokens.ts";

/**
 * ckit's ring. A node has `tokensEach` tokens for each unit of its weight, its points from 1 on; a key belongs to
 * the first token that is not below it. A change of some nodes makes the tokens of these alone, and merges.
 */
export class Ring implements Placement {
  private constructor(
    private readonly tokensEach: number,
    readonly seats: readonly Seat[],
    private readonly tokens: Tokens,
  ) {}

  static empty(tokensEach: number): Ring {
    return new Ring(tokensEach, [], Tokens.none);
  }

  over(seats: readonly Seat[]): Ring {
    const { gone, come } = changeBetween(this.seats, seats);
    const weight = come.reduce((sum, seat) => sum + seat.weight, 0);
    const added = new TokenList(weight * this.tokensEach);
    for (const seat of come) {
      added.addAll(pointsOf(seat.key, 1, seat.weight * this.tokensEach), seat.slot);
    }
    return new Ring(this.tokensEach, seats, this.tokens.changed(gone, added, ranksOf(seats)));
  }

  owner(high: number, low: number): number {
    return this.tokens.ownerFrom(high, low);
  }

  pick(high: number, low: number, picked: Picked): void {
    this.tokens.walk(this.tokens.successor(high, low), picked);
  }
}
