import type { Prng } from "./prng.ts";
import type { Scheduler } from "./scheduler.ts";

/** While it is calm, callers and faults pause so many times longer. */
const CALM = 8;

/** A cluster is busy for a while, then calm for a while: from the beginning busy. */
export class Tempo {
  #calm = false;

  constructor(scheduler: Scheduler, prng: Prng, untilMs: number) {
    const change = () => {
      if (scheduler.now >= untilMs) return;
      this.#calm = !this.#calm;
      scheduler.after(
        this.#calm ? prng.between(30_000, 90_000) : prng.between(5_000, 20_000),
        change,
      );
    };
    scheduler.after(prng.between(20_000, 40_000), change);
  }

  /** What a pause of `ms` lasts now. */
  pause(ms: number): number {
    return this.#calm ? ms * CALM : ms;
  }
}
