import { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";

/** What a stream holds for its caller. */
export interface Claim {
  /** Aborts when it is lost. */
  readonly signal: AbortSignal;
  /** For how many milliseconds from now it is held without another renewal; 0 once it is lost or released. */
  readonly heldForMs: number;
  release(): Promise<void>;
}

/** Longer than any claim is held without a renewal, in milliseconds. */
const MAX_HELD_MS = 86_400_000;
/** A caller whose clock is slow by 5 %, and this node's is fast by as much, believes for so much longer. */
const DRIFT = 1.05 / 0.95;

/** Who holds something through a stream, or waits for it: when it last said that it lives, and what it was told. */
export class Holder implements Disposable {
  #claim: Claim | null = null;
  #heardAt: number;
  #believesUntil = Number.NEGATIVE_INFINITY;

  /** One that is not `named` says nothing: its connection stands for it. */
  constructor(
    private readonly clock: Clock,
    private readonly named: boolean,
    private readonly onEnd: () => void,
  ) {
    this.#heardAt = clock.now();
  }

  /** By the clock, in milliseconds; Infinity: its connection lasts. */
  get heardAt(): number {
    return this.named ? this.#heardAt : Infinity;
  }

  /** Until when, by the clock, it may go on in the belief that it holds the claim, if it is told nothing more. */
  get believesUntil(): number {
    return this.named ? this.#believesUntil : Infinity;
  }

  /** What it holds from now on. */
  granted(claim: Claim): void {
    this.#claim = claim;
  }

  /** For how many whole milliseconds from now it holds the claim; null: it waits still. */
  get heldForMs(): number | null {
    const claim = this.#claim;
    return claim === null ? null : Math.min(MAX_HELD_MS, Math.floor(claim.heldForMs));
  }

  /** It counts so many milliseconds from now, or from before. */
  told(heldForMs: number): void {
    this.#believesUntil = Math.max(this.#believesUntil, this.clock.now() + heldForMs * DRIFT);
  }

  /** It lives. Gives for how many milliseconds from now it holds the claim; null: it waits still. */
  heard(): number | null {
    this.#heardAt = this.clock.now();
    const { heldForMs } = this;
    if (heldForMs !== null) this.told(heldForMs);
    return heldForMs;
  }

  [Symbol.dispose](): void {
    this.onEnd();
  }
}

/** The callers whose streams hold something, by the names that they gave to their holds. */
export class SignsOfLife {
  readonly #holders = new Map<string, Holder>();

  constructor(private readonly clock: Clock) {}

  /** Listens until the result is disposed. Empty: nothing will be heard. Throws `already_held` for a name in use. */
  listen(hold: string): Holder {
    if (hold === "") return new Holder(this.clock, false, () => {});
    if (this.#holders.has(hold)) {
      throw new HedgerowError("already_held", "another stream has this hold: name one of its own");
    }
    const holder = new Holder(this.clock, true, () => this.#holders.delete(hold));
    this.#holders.set(hold, holder);
    return holder;
  }

  /** As `Holder.heard`. Throws `not_found` where nobody listens. */
  heard(hold: string): number | null {
    const holder = this.#holders.get(hold);
    if (holder === undefined) {
      const message = "no stream of this node has this hold: it has ended, or is another node's";
      throw new HedgerowError("not_found", message);
    }
    return holder.heard();
  }
}
