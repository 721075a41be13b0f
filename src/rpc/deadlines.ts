import type { Clock, Timer } from "../runtime/runtime.ts";

/** Something that ends by itself at `deadline`, a time of the clock's `now`. */
export interface Expiring {
  readonly deadline: number;
  /** `now` is the clock's, at or past the deadline. */
  expire(now: number): void;
}

/** Deadlines that follow closely on each other share one firing of the timer. */
const RESOLUTION_MS = 5;

/**
 * The deadlines of many calls on one timer. A timer or an AbortSignal of its own would cost each call
 * more than its place in a batch does.
 */
export class Deadlines<Entry extends Expiring = Expiring> {
  readonly #entries = new Set<Entry>();
  #timer: Timer | null = null;
  #firesAt = Number.POSITIVE_INFINITY;

  constructor(private readonly clock: Clock) {}

  /** Expires `entry` once its deadline has passed, unless it is deleted before. */
  add(entry: Entry): void {
    this.#entries.add(entry);
    if (entry.deadline < this.#firesAt) this.#arm(entry.deadline);
  }

  delete(entry: Entry): void {
    if (this.#entries.delete(entry) && this.#entries.size === 0) this.#disarm();
  }

  /** Those that have not ended. */
  get open(): Iterable<Entry> {
    return this.#entries;
  }

  #arm(at: number): void {
    this.#timer?.cancel();
    this.#firesAt = at;
    this.#timer = this.clock.schedule(at - this.clock.now(), () => this.#fire());
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#firesAt = Number.POSITIVE_INFINITY;
  }

  #fire(): void {
    this.#disarm();
    const now = this.clock.now();
    const due: Entry[] = [];
    let earliest = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries) {
      if (entry.deadline <= now) due.push(entry);
      else earliest = Math.min(earliest, entry.deadline);
    }
    for (const entry of due) this.#entries.delete(entry);
    if (this.#entries.size > 0) this.#arm(Math.max(earliest, now + RESOLUTION_MS));
    for (const entry of due) entry.expire(now);
  }
}
