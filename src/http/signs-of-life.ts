import { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";

/** Who holds something through a stream, and when it last said that it lives. */
export interface Holder extends Disposable {
  /** By the clock, in milliseconds; null: it says nothing, and its connection stands for it. */
  readonly heardAt: number | null;
}

/** The callers whose streams hold something, by the names that they gave to their holds. */
export class SignsOfLife {
  readonly #heardAt = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  /** Listens until the result is disposed. Empty: nothing will be heard. Throws `already_held` for a name in use. */
  listen(hold: string): Holder {
    if (hold === "") return { heardAt: null, [Symbol.dispose]() {} };
    const heardAt = this.#heardAt;
    if (heardAt.has(hold)) {
      throw new HedgerowError("already_held", "another stream has this hold: name one of its own");
    }
    heardAt.set(hold, this.clock.now());
    return {
      get heardAt() {
        return heardAt.get(hold) ?? 0;
      },
      [Symbol.dispose]() {
        heardAt.delete(hold);
      },
    };
  }

  /** Throws `not_found` where nobody listens. */
  heard(hold: string): void {
    if (!this.#heardAt.has(hold)) {
      throw new HedgerowError("not_found", "no stream of this node has this hold: it has ended");
    }
    this.#heardAt.set(hold, this.clock.now());
  }
}
