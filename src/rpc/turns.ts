import type { Clock } from "../runtime/runtime.ts";

/** Messages, of all streams together, that one turn of the event loop passes on: some 5 ms of work. */
const MESSAGES = 2_048;
/** A message counts once more for each so many bytes. */
const BYTES = 1_024;

/**
 * Keeps the event loop turning under many streams that are busy at once. What is ready is passed on by promises alone,
 * of which each makes the next one ready: signs of life, timers and other calls would wait until all of it is done.
 */
export class Turns {
  #left = 0;
  #next: Promise<void> | null = null;

  constructor(private readonly clock: Clock) {}

  /** Counts a message. What it gives, if anything, is awaited before the next one. */
  take(bytes = 0): Promise<void> | undefined {
    if (this.#next === null) this.#begin();
    this.#left -= 1 + bytes / BYTES;
    return this.#left > 0 ? undefined : (this.#next ?? undefined);
  }

  #begin(): void {
    this.#left = MESSAGES;
    this.#next = new Promise((resolve) => {
      this.clock.schedule(0, () => {
        this.#next = null;
        resolve();
      });
    });
  }
}
