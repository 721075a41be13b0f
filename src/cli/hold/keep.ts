import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../../errors.ts";
import { sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { HedgerowClient } from "../client.ts";

/** Milliseconds between two signs of life, and for which one is waited: a quarter of a grant, but within these. */
const SHORTEST_MS = 10;
/** Before the claim is confirmed the command waits for it. */
const LONGEST_UNCONFIRMED_MS = 500;

export interface KeptHoldOptions {
  readonly clock: Clock;
  readonly client: Pick<HedgerowClient, "keepHold">;
  /** Name of the hold. */
  readonly hold: string;
  /** Milliseconds for which the claim was said to be held when it was granted. */
  readonly forMs: number;
  /** Ends all work, when the hold is given up. */
  readonly signal: AbortSignal;
}

/**
 * A claim that a node holds for this process, as this process knows of it. What the node says counts from when it was
 * asked: so neither a node that was stopped before its answer left it, nor this process when it was stopped before it
 * read it, makes the claim seem to last longer than it does (src/lock/DESIGN.md).
 */
export class KeptHold {
  #deadline = Number.NEGATIVE_INFINITY;
  #forMs: number;

  constructor(private readonly options: KeptHoldOptions) {
    this.#forMs = options.forMs;
  }

  /**
   * Whether the node confirms what it granted, before that must be over. The grant itself may have been on its way
   * for any time. Throws `not_supported`.
   */
  async confirmed(): Promise<boolean> {
    const { clock, signal, forMs } = this.options;
    const giveUpAt = clock.now() + forMs;
    while (!signal.aborted && clock.now() < giveUpAt) {
      const everyMs = Math.min(this.#everyMs, LONGEST_UNCONFIRMED_MS);
      this.#deadline = (await this.#sign(everyMs)) ?? this.#deadline;
      if (clock.now() < this.#deadline) return true;
      await this.#pause(everyMs);
    }
    return false;
  }

  /** Gives signs of life. Resolves when the claim is over unless the node has renewed it unheard, or at the signal. */
  async untilOver(): Promise<void> {
    const { clock, signal } = this.options;
    void this.#keep();
    for (let now = clock.now(); now < this.#deadline && !signal.aborted; now = clock.now()) {
      await this.#pause(this.#deadline - now);
    }
  }

  async #keep(): Promise<void> {
    const { clock, signal } = this.options;
    let pauseMs = this.#everyMs;
    while (!signal.aborted) {
      await this.#pause(pauseMs);
      // One that fails is soon followed by the next; if all do, the deadline passes.
      const deadline = await this.#sign(this.#everyMs).catch(() => null);
      // What is over stays over, though no timer has run yet.
      if (clock.now() >= this.#deadline) return;
      if (deadline !== null) this.#deadline = Math.max(this.#deadline, deadline);
      pauseMs = deadline === null ? Math.max(SHORTEST_MS, this.#everyMs / 10) : this.#everyMs;
    }
  }

  get #everyMs(): number {
    return Math.max(SHORTEST_MS, this.#forMs / 4);
  }

  /** Until when the claim is held, by this process's clock; null if the node does not say. */
  async #sign(timeoutMs: number): Promise<number | null> {
    const { clock, client, hold, signal } = this.options;
    const sentAt = clock.now();
    try {
      const { lease } = await client.keepHold({ hold }, { timeoutMs, signal });
      if (lease === undefined) throw older();
      this.#forMs = durationMs(lease);
      return sentAt + this.#forMs;
    } catch (thrown) {
      if (thrown instanceof ConnectError) return null;
      throw thrown;
    }
  }

  #pause(ms: number): Promise<void> {
    // The callers look at the signal.
    return sleep(this.options.clock, ms, this.options.signal).catch(() => {});
  }
}

function older(): HedgerowError {
  const message = "the node is older than this command: replace it with one of the same version";
  return new HedgerowError("not_supported", message);
}
