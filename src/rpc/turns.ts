import type { Clock } from "../runtime/runtime.ts";

/** Milliseconds of work on streams, of all that share a clock, in one turn of the event loop. */
const TURN_MS = 10;
/** A stream between nodes looks at the clock once in so many messages, of which each takes less than that look. */
const UNSEEN_MESSAGES = 32;
/** A message counts once more for each so many bytes. */
const MESSAGE_BYTES = 64 * 1024;

const turnsOf = new WeakMap<Clock, Turns>();

/**
 * Keeps the event loop turning under many streams that are busy at once. What is ready is passed on by promises alone,
 * of which each makes the next one ready: signs of life, renewals and other calls would wait until all of it is done.
 * It is time that is counted: how much a turn gets done depends on who else wants the processor, and signs of life are
 * due by the clock.
 */
export class Turns {
  /** Called when streams wait for the next turn, before they are let in. */
  onUsedUp: (() => void) | null = null;
  #endsAt: number | null = null;
  readonly #waiting = new Set<() => void>();

  constructor(private readonly clock: Clock) {}

  /** Those of the streams of a clock: a node's with its peers share one, those of the client API another. */
  static of(clock: Clock): Turns {
    const known = turnsOf.get(clock);
    if (known !== undefined) return known;
    const turns = new Turns(clock);
    turnsOf.set(clock, turns);
    return turns;
  }

  /** Undefined while the turn may do more. What it gives otherwise is awaited before the next message. */
  over(): Promise<void> | undefined {
    this.#endsAt ??= this.#begin();
    if (this.clock.now() < this.#endsAt) return undefined;
    return new Promise((resolve) => void this.#waiting.add(resolve));
  }

  #begin(): number {
    this.clock.schedule(0, () => {
      this.#endsAt = null;
      if (this.#waiting.size === 0) return;
      this.onUsedUp?.();
      void this.#letIn();
    });
    return this.clock.now() + TURN_MS;
  }

  /**
   * Those that wait, one after the other, for as long as the turn lasts: each goes on with what it has, so that its
   * messages go together, which is cheaper than one of each stream.
   */
  async #letIn(): Promise<void> {
    const endsAt = this.#begin();
    this.#endsAt = endsAt;
    for (const letIn of this.#waiting) {
      this.#waiting.delete(letIn);
      letIn();
      await null;
      if (this.clock.now() >= endsAt) return;
    }
  }
}

/** The part of one stream between nodes in them. */
export class Share {
  #unseen = 0;

  constructor(private readonly turns: Turns) {}

  /** Counts a message. What it gives, if anything, is awaited before the next one. */
  pass(bytes: number): Promise<void> | undefined {
    this.#unseen += 1 + bytes / MESSAGE_BYTES;
    if (this.#unseen < UNSEEN_MESSAGES) return undefined;
    this.#unseen = 0;
    return this.turns.over();
  }
}
