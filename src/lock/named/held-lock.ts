import { HedgerowError } from "../../errors.ts";
import type { Lease } from "../lease.ts";
import type { Place } from "./line.ts";

/** A lock that this node holds, until it is released or lost. It is never held again under the same token. */
export class HeldLock implements AsyncDisposable {
  /** Fencing token: decimal microseconds since the epoch. */
  readonly token: string;
  /** The first of those that wait for it, as far as the leader has told. */
  next: Place | null = null;
  readonly #lost = new AbortController();
  #releasing: Promise<void> | null = null;

  /** `onReleased` is told at the end of a release, with whether the database knows that the lock is free. */
  constructor(
    readonly name: string,
    token: number,
    private readonly lease: Lease,
    private readonly onReleased: (free: boolean) => void,
  ) {
    this.token = String(token);
  }

  /**
   * Aborts, with `claim_lost`, before anybody else can hold the lock. Reading it compares the clock with the
   * deadline: after a pause it tells the truth, though no timer has run yet. A release does not abort it.
   */
  get signal(): AbortSignal {
    if (this.#releasing === null && this.lease.claim() === null) this.lose("not renewed in time");
    return this.#lost.signal;
  }

  /** For how many milliseconds from now it is held without another renewal; 0 once it is lost or released. */
  get heldForMs(): number {
    return this.#releasing === null && !this.signal.aborted ? this.lease.heldForMs : 0;
  }

  /**
   * Gives the lock up: the next may take it as soon as this resolves. Idempotent, never throws: where the database
   * cannot be reached the lock ends by itself, one lease after its last renewal. Takes 4 s at most.
   */
  release(): Promise<void> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  /** The lock is not held any more, whatever the database says. */
  lose(why: string): void {
    if (this.#releasing !== null || this.#lost.signal.aborted) return;
    const message = `lock ${JSON.stringify(this.name)} is lost: ${why}`;
    this.#lost.abort(new HedgerowError("claim_lost", message));
  }

  async #release(): Promise<void> {
    const token = await this.lease.stop();
    this.onReleased(token !== null);
  }
}
