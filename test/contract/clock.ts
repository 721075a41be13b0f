import type { Clock, Timer } from "../../src/runtime/runtime.ts";

/** A clock that moves when it is told to. Its timers are real ones: only waiting for another process needs them. */
export class HandClock implements Clock {
  bootId = "boot-1";
  #nowMs = 5_000;
  #wallMicros = 1_750_000_000_000_000;

  now(): number {
    return this.#nowMs;
  }

  wallMicros(): number {
    return this.#wallMicros;
  }

  schedule(ms: number, run: () => void): Timer {
    if (ms <= 0) {
      const immediate = setImmediate(run);
      return { cancel: () => clearImmediate(immediate) };
    }
    const timer = setTimeout(run, ms);
    return { cancel: () => clearTimeout(timer) };
  }

  /** Time passes. */
  passMs(ms: number): void {
    this.#nowMs += ms;
    this.#wallMicros += Math.round(ms * 1e3);
  }

  /** Somebody sets the wall clock. */
  jumpWallMs(ms: number): void {
    this.#wallMicros += Math.round(ms * 1e3);
  }

  /** The machine starts anew, and counts from zero. */
  reboot(upMs: number): void {
    this.bootId = `${this.bootId}+`;
    this.#nowMs = upMs;
  }
}
