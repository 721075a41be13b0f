import type { Clock, Timer } from "../../../src/runtime/runtime.ts";
import type { Scheduler } from "./scheduler.ts";

/** The wall clock at the world's beginning, in microseconds since the epoch. */
const EPOCH_MICROS = 1_700_000_000_000_000;

/** How much faster or slower than the world's the clock of a machine may run. */
export const MAX_DRIFT = 0.05;

/**
 * What a process runs on: its clocks, and whether it is alive. A paused one does nothing until it goes on;
 * then, as on real machines, what arrived from outside runs before any timer.
 */
export class Machine implements Clock {
  readonly bootId = "simulated";
  alive = true;
  #paused = false;
  #arrivals: (() => void)[] = [];
  #dueTimers: (() => void)[] = [];

  /** `rate`: milliseconds that pass on its clock in one of the world's; `wallOffMs`: how wrong its wall clock is. */
  constructor(
    private readonly scheduler: Scheduler,
    readonly rate = 1,
    private wallOffMs = 0,
  ) {}

  get paused(): boolean {
    return this.#paused;
  }

  now(): number {
    return this.scheduler.now * this.rate;
  }

  wallMicros(): number {
    return EPOCH_MICROS + Math.floor((this.now() + this.wallOffMs) * 1e3);
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.wallOffMs += ms;
  }

  schedule(ms: number, run: () => void): Timer {
    let cancelled = false;
    const due = () => {
      if (cancelled || !this.alive) return;
      if (this.#paused) this.#dueTimers.push(due);
      else run();
    };
    const timer = this.scheduler.after(ms / this.rate, due);
    return {
      cancel() {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  /** Something comes from outside: a request, a reply, the store's answer. */
  arrive(run: () => void): void {
    if (!this.alive) return;
    if (this.#paused) this.#arrivals.push(() => this.arrive(run));
    else run();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    for (const run of [...this.#arrivals.splice(0), ...this.#dueTimers.splice(0)]) {
      this.scheduler.after(0, () => {
        if (this.alive) run();
      });
    }
  }

  kill(): void {
    this.alive = false;
  }

  /** What the next process runs on: the same clocks. */
  successor(): Machine {
    return new Machine(this.scheduler, this.rate, this.wallOffMs);
  }
}
