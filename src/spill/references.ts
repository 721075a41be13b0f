import type { Clock, Timer } from "../runtime/runtime.ts";

/** Releases what nobody can release any more: its holder is garbage. */
const abandoned = new FinalizationRegistry<() => void>((release) => release());

/** Who uses a store; `onUnused` is called once nobody has for `expiryMs` milliseconds. */
export class References {
  #count = 0;
  #timer: Timer | null = null;
  #ended = false;

  constructor(
    private readonly clock: Clock,
    private readonly expiryMs: number,
    private readonly onUnused: () => void,
  ) {
    this.#watch();
  }

  /** None once it has ended. */
  get count(): number {
    return this.#ended ? 0 : this.#count;
  }

  /** A reference, released by the function that is returned, idempotent. */
  take(): () => void {
    this.#count++;
    this.#timer?.cancel();
    this.#timer = null;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#count--;
      if (this.#count === 0) this.#watch();
    };
  }

  /** Releases when `holder` has been collected, should it not have been released by then. */
  releaseWith(holder: object, release: () => void): void {
    abandoned.register(holder, release);
  }

  end(): void {
    this.#ended = true;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #watch(): void {
    if (this.#ended) return;
    this.#timer = this.clock.schedule(this.expiryMs, this.onUnused);
  }
}
