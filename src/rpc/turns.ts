import type { Clock } from "../runtime/runtime.ts";

/** Messages, of all streams together, that one turn of the event loop passes on: some 25 ms of work. */
const MESSAGES = 8_192;
/** A message counts once more for each so many bytes. */
const BYTES = 1_024;
/** A stream passes on as many before it makes room for others: they go together, which is cheaper. */
const STRETCH = 64;

/**
 * Keeps the event loop turning under many streams that are busy at once. What is ready is passed on by promises alone,
 * of which each makes the next one ready: signs of life, timers and other calls would wait until all of it is done.
 */
export class Turns {
  #left = 0;
  #next: Promise<void> | null = null;

  constructor(private readonly clock: Clock) {}

  /** What the next messages count; if there is anything, it is awaited before them. */
  take(messages: number): Promise<void> | undefined {
    if (this.#next === null) this.#begin();
    this.#left -= messages;
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

/** The part of one direction of a stream in them. */
export class Stretch {
  #passed = 0;

  constructor(private readonly turns: Turns) {}

  /** Counts a message. What it gives, if anything, is awaited before the next one. */
  pass(bytes: number): Promise<void> | undefined {
    this.#passed += 1 + bytes / BYTES;
    if (this.#passed < STRETCH) return undefined;
    const passed = this.#passed;
    this.#passed = 0;
    return this.turns.take(passed);
  }
}
