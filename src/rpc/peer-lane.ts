import type { HedgerowError } from "../errors.ts";
import { CallQueue } from "./call-queue.ts";
import type { Call } from "./calls.ts";
import type { Deadlines } from "./deadlines.ts";
import type { LaneRule } from "./lanes.ts";
import type { Lane, Slots } from "./slots.ts";

const MAX_BATCH_BYTES = 1024 * 1024;

/** Calls of one kind to one peer: those that wait, and how many requests of theirs are under way. */
export class PeerLane implements Lane {
  inFlight = 0;
  readonly #queue: CallQueue;
  #flushing = false;

  /** `carry` sends the calls in one request; it never rejects. */
  constructor(
    readonly limits: LaneRule,
    private readonly slots: Slots,
    deadlines: Deadlines,
    private readonly carry: (calls: Call[]) => Promise<void>,
  ) {
    this.#queue = new CallQueue(deadlines);
  }

  get idle(): boolean {
    return this.inFlight + this.#queue.size === 0;
  }

  /** Sends the call, at the latest when the requests before it are done. */
  add(call: Call): void {
    this.#queue.push(call);
    if (this.limits.maxCalls === 1) {
      this.#send();
    } else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(this.#flush); // calls of the same tick travel together
    }
  }

  /** Fails what waits. */
  fail(error: HedgerowError): void {
    this.#queue.fail(error);
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    this.#send();
  };

  readonly #send = (): void => {
    const queue = this.#queue;
    const { max, maxCalls, minSplit } = this.limits;
    while (queue.size > 0 && this.slots.take(this, this.#send)) {
      const share = Math.max(minSplit, Math.ceil(queue.size / (max - this.inFlight + 1)));
      void this.#carry(queue.take(Math.min(share, maxCalls), MAX_BATCH_BYTES));
    }
    queue.watch();
  };

  async #carry(calls: Call[]): Promise<void> {
    await this.carry(calls);
    this.slots.give(this);
    this.#send();
  }
}
