import type { Clock, Timer } from "../runtime/runtime.ts";

/**
 * Timers that notice when they run late: the event loop was blocked or the process stopped, and what seemed
 * silence of others was its own.
 */
export class Pace {
  /** What was before this moment has been counted. */
  #countedUntil = Number.NEGATIVE_INFINITY;

  /** `onStall` is told of the milliseconds of each stall longer than `toleranceMs`, once. */
  constructor(
    private readonly clock: Clock,
    private readonly toleranceMs: number,
    private readonly onStall: (ms: number) => void,
  ) {}

  schedule(ms: number, run: () => void): Timer {
    const dueAt = this.clock.now() + Math.max(0, ms);
    return this.clock.schedule(ms, () => {
      const now = this.clock.now();
      const lateMs = now - Math.max(dueAt, this.#countedUntil);
      if (lateMs > this.toleranceMs) {
        this.#countedUntil = now;
        this.onStall(lateMs);
      }
      run();
    });
  }
}
