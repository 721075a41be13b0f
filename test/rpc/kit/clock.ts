import type { Clock } from "../../../src/runtime/runtime.ts";

/** Time that passes by hand, with the timers that are set. */
export class ManualClock implements Clock {
  readonly bootId = "boot";
  readonly timers = new Map<object, { at: number; run: () => void }>();
  #now = 1_000;
  #wallMs = Date.now();

  now(): number {
    return this.#now;
  }

  wallMicros(): number {
    return (this.#wallMs + this.#now) * 1e3;
  }

  schedule(ms: number, run: () => void) {
    const key = {};
    this.timers.set(key, { at: this.#now + ms, run });
    return { cancel: () => void this.timers.delete(key) };
  }

  /** Somebody sets the wall clock, or the machine sleeps: no timer hears of it. */
  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  pass(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const [next] = [...this.timers].sort(([, a], [, b]) => a.at - b.at);
      if (next === undefined || next[1].at > until) break;
      this.timers.delete(next[0]);
      this.#now = Math.max(this.#now, next[1].at);
      next[1].run();
    }
    this.#now = until;
  }
}

/** `clock`, on which nothing that takes `longMs` or more ever comes: who waits for that waits for ever. */
export function withoutLong(clock: Clock, longMs = 1_000): Clock {
  return {
    bootId: clock.bootId,
    now: () => clock.now(),
    wallMicros: () => clock.wallMicros(),
    schedule: (ms, run) => (ms < longMs ? clock.schedule(ms, run) : { cancel() {} }),
  };
}
