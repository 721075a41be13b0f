import { HedgerowError } from "../errors.ts";
import type { Clock, Timer } from "../runtime/runtime.ts";

/** What names an acquisition in all that is said of it. */
export interface PermitClaim {
  readonly semaphore: string;
  readonly owner: string;
  /** Made for this acquisition, and for no other. */
  readonly grant: string;
}

export interface HeldPermitOptions {
  readonly clock: Clock;
  /** The work goes on when this process ends. */
  readonly detached: boolean;
  /** Told once, when it is lost. */
  readonly onLost: () => void;
  /** Tells the leader that the permit is free. */
  readonly giveBack: () => Promise<void>;
}

/** A permit that this node holds, until it is released or lost. Once lost it is never held again. */
export class HeldPermit implements AsyncDisposable {
  readonly #lost = new AbortController();
  #deadline: number;
  #timer: Timer | null = null;
  #releasing: Promise<void> | null = null;

  /** `deadline` is of the node's own clock. */
  constructor(
    readonly claim: PermitClaim,
    deadline: number,
    private readonly options: HeldPermitOptions,
  ) {
    this.#deadline = deadline;
    this.#watch();
  }

  get semaphore(): string {
    return this.claim.semaphore;
  }

  get owner(): string {
    return this.claim.owner;
  }

  get detached(): boolean {
    return this.options.detached;
  }

  /** By the clock, whatever has run or not since. */
  get held(): boolean {
    return this.heldForMs > 0;
  }

  /** For how many milliseconds from now it is held without another renewal; 0 once it is lost or released. */
  get heldForMs(): number {
    if (this.#releasing !== null || this.#lost.signal.aborted) return 0;
    return Math.max(0, this.#deadline - this.options.clock.now());
  }

  /**
   * Aborts, with `claim_lost`, before anybody else can have the permit. Reading it compares the clock with the
   * deadline: after a pause it tells the truth, though no timer has run yet. A release does not abort it.
   */
  get signal(): AbortSignal {
    if (!this.held) this.lose("not renewed in time");
    return this.#lost.signal;
  }

  /** The leader has heard of it: it is held until then, unless it was over before that was known. */
  prolong(deadline: number): void {
    if (this.held) this.#deadline = Math.max(this.#deadline, deadline);
  }

  /** It is not held any more, whatever the leader says. */
  lose(why: string): void {
    if (this.#releasing !== null || this.#lost.signal.aborted) return;
    this.#timer?.cancel();
    const message = `permit of ${this.semaphore} is lost: ${why}`;
    this.#lost.abort(new HedgerowError("claim_lost", message));
    this.options.onLost();
  }

  /**
   * Gives the permit back: the next may have it when this resolves. Idempotent, never throws: where no leader
   * can be told within 10 s, the permit ends with its lease.
   */
  release(): Promise<void> {
    this.#timer?.cancel();
    this.#releasing ??= this.options.giveBack();
    return this.#releasing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #watch(): void {
    if (this.#deadline === Number.POSITIVE_INFINITY) return;
    const { clock } = this.options;
    this.#timer = clock.schedule(this.#deadline - clock.now(), () => {
      if (this.held) this.#watch();
      else this.lose("not renewed in time");
    });
  }
}
