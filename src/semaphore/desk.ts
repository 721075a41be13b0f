import { HedgerowError } from "../errors.ts";
import type { Claim } from "../lock/lease.ts";
import type { Logger } from "../observe/logger.ts";
import type { SeldomWarner } from "../observe/seldom.ts";
import { sleep } from "../runtime/operation.ts";
import { backoffMs, type Runtime, type Timer } from "../runtime/runtime.ts";
import type { Permit, SemaphoreStore } from "../store/ports.ts";
import type { Applicant, PermitRef } from "./line.ts";
import { Pending } from "./pending.ts";
import type { Scribe } from "./scribe.ts";
import { type Answer, SemaphoreState } from "./state.ts";
import type { PermitTiming } from "./timing.ts";

/** Of a read; pauses after a call to the store that failed. */
const READ_TIMEOUT_MS = 2_000;
const PAUSE_MS = { first: 20, longest: 500 };
/** That wait for one semaphore; more are turned away. */
const MAX_WAITING = 10_000;

export interface DeskOptions {
  readonly name: string;
  readonly store: SemaphoreStore;
  readonly scribe: Scribe;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Of all desks, which fail together. */
  readonly warner: SeldomWarner;
  readonly timing: PermitTiming;
  /** The leader's, under which the desk was opened; null once that is over. */
  readonly claim: () => Claim | null;
  /** The database refused the token. */
  readonly onFenced: () => void;
  /** Whether the grant was given back: a request for it is an old one. */
  readonly isEnded: (grant: string) => boolean;
  /** When a permit expires that was found in the table, and of which nothing is known. */
  readonly expiryOf: (permit: Permit, readBefore: boolean) => number;
  /** It has its permit now, or was turned away. */
  readonly onNews: (permit: Permit) => void;
  /** Nothing is left to be kept. */
  readonly onIdle: () => void;
}

/**
 * Keeps one semaphore for the leader: one transaction at a time, each of which takes back what was given up and
 * gives out what that frees. After an unknown or unexpected outcome the table is read before anything else.
 */
export class Desk {
  readonly #state: SemaphoreState;
  /** Whether the state is what the table says; and whether it has ever been. */
  #fresh = false;
  #readBefore = false;
  #running = false;
  /** Something came up while it ran. */
  #again = false;
  #ended: HedgerowError | null = null;
  #failures = 0;
  #calls = 0;
  #expiry: Timer | null = null;
  readonly #applying = new Pending<Answer | null>();
  readonly #leaving = new Pending<true>();
  #refreshing: PromiseWithResolvers<void> | null = null;

  constructor(private readonly options: DeskOptions) {
    this.#state = new SemaphoreState(options.timing.revokeAfterMs);
  }

  /** Answers once it is known whether a permit is taken, or that it must wait. */
  apply(applicant: Applicant): Promise<Answer> {
    return this.#call(async () => {
      for (;;) {
        await this.#refresh();
        if (this.options.isEnded(applicant.permit.grant)) throw givenBack();
        if (this.#state.waiting >= MAX_WAITING) {
          const message = `semaphore: ${MAX_WAITING} wait for it already: try again later`;
          throw new HedgerowError("overloaded", message, { retryDelayMs: 100 });
        }
        const standing = this.#state.apply(applicant);
        this.#kick();
        if (standing.kind !== "due") return standing;
        const answer = await this.#applying.add(applicant.permit);
        if (answer !== null) return answer;
      }
    });
  }

  /** Resolves once the permit does not lie in the table any more. */
  release(permit: PermitRef): Promise<void> {
    return this.#call(async () => {
      await this.#refresh();
      this.#state.leave(permit);
      const left = this.#state.lies(permit) ? this.#leaving.add(permit) : null;
      this.#kick();
      await left;
    });
  }

  /** Whether the holder has the permit; if so it counts as heard of at this moment. */
  confirm(permit: PermitRef): boolean {
    return this.#state.confirm(permit, this.#now());
  }

  /** As `confirm`, by the table where memory does not know the permit. */
  async renew(permit: PermitRef): Promise<boolean> {
    if (this.confirm(permit)) return true;
    await this.#call(() => this.#refresh());
    return this.confirm(permit);
  }

  /** Whether it has its permit; null where it neither has one nor waits for it. */
  find(permit: PermitRef): boolean | null {
    const answer = this.#state.find(permit);
    return answer === null ? null : answer.kind === "acquired";
  }

  /** It asks no more; if it was not told that it has a permit, that is free again. */
  lapse(permit: PermitRef): void {
    this.#state.lapse(permit);
    this.#kick();
  }

  /** Whether it knows of such a permit. */
  some(is: (permit: Permit) => boolean): boolean {
    return this.#state.some(is);
  }

  /** Takes permits back whose holders are surely gone. */
  revoke(isGone: (permit: Permit) => boolean): void {
    this.#revoke("a later process runs at its address", isGone);
    this.#kick();
  }

  /** Fails whoever asks, now and later. */
  end(error: HedgerowError): void {
    this.#ended = error;
    this.#expiry?.cancel();
    this.#rejectAll(error);
  }

  /** Reads the table unless it is known. Throws what keeps it from that. */
  async #refresh(): Promise<void> {
    if (this.#ended !== null) throw this.#ended;
    if (this.#fresh) return;
    this.#refreshing ??= Promise.withResolvers<void>();
    this.#kick();
    await this.#refreshing.promise;
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await work();
    } finally {
      this.#calls--;
      this.#rest();
    }
  }

  #kick(): void {
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    void this.#run().finally(() => {
      this.#running = false;
      if (this.#again)
        this.#kick(); // it came up when the loop had ended already
      else this.#rest();
    });
  }

  async #run(): Promise<void> {
    for (let busy = true; busy || this.#again;) {
      this.#again = false;
      // Whoever asks is told so by the end of the reign.
      if (this.options.claim() === null) return;
      try {
        busy = await this.#step();
        if (this.options.claim() === null) return;
        this.#answer();
      } catch (error) {
        busy = this.#onFailure(HedgerowError.from(error));
      }
      if (busy && !this.#fresh && this.#failures > 0) await this.#pause();
    }
  }

  /** One call to the store; false if there is nothing to be done. */
  async #step(): Promise<boolean> {
    const { name, store, scribe } = this.options;
    if (!this.#fresh) {
      const rows = await store.read(name, { timeoutMs: READ_TIMEOUT_MS });
      const expiryOf = (permit: Permit) => this.options.expiryOf(permit, this.#readBefore);
      this.#state.learn(rows, expiryOf, this.#now());
      this.#readBefore = true;
      this.#fresh = true;
      return true;
    }
    const now = this.#now();
    this.#revoke("nothing was heard of its holder", (_, expiresAt) => now >= expiresAt);
    const change = this.#state.plan();
    if (change === null) return false;
    this.#fresh = false;
    const outcomes = await scribe.write({ ...change, semaphore: name });
    this.#fresh = this.#state.settle(change, outcomes, this.#now());
    this.#failures = this.#fresh ? 0 : this.#failures + 1;
    return true;
  }

  /** Tells everybody whose answer is known by now. */
  #answer(): void {
    this.#applying.answer((ref) => {
      const answer = this.#state.find(ref);
      if (answer?.kind === "due") return undefined;
      if (answer?.kind === "full") this.#state.leave(ref);
      return answer;
    });
    this.#leaving.answer((ref) => (this.#state.lies(ref) ? undefined : true));
    if (this.#fresh) {
      this.#refreshing?.resolve();
      this.#refreshing = null;
    }
    for (const permit of this.#state.takeNews()) this.options.onNews(permit);
  }

  /** False if nobody needs another attempt. */
  #onFailure(error: HedgerowError): boolean {
    const { name, warner, onFenced } = this.options;
    if (error.code === "fenced") {
      onFenced();
      return false;
    }
    this.#failures++;
    if (this.options.claim() === null) return false;
    const { code, message } = error;
    warner.warn(code, "semaphore not reached", { semaphore: name, code, error: message });
    this.#state.dismissImpatient();
    this.#rejectAll(error);
    return this.#state.plan() !== null;
  }

  #rejectAll(error: HedgerowError): void {
    const { promise, reject } = this.#refreshing ?? Promise.withResolvers<void>();
    promise.catch(() => {}); // whoever waits for it hears it all the same
    reject(error);
    this.#refreshing = null;
    this.#applying.fail(error);
    this.#leaving.fail(error);
  }

  #revoke(why: string, isOver: (permit: Permit, expiresAt: number) => boolean): void {
    for (const { owner, holder } of this.#state.revoke(isOver)) {
      this.options.logger.warn("permit revoked", {
        semaphore: this.options.name,
        owner,
        holder,
        why,
      });
    }
  }

  #rest(): void {
    if (this.#running || this.options.claim() === null) return;
    if (this.#state.idle && this.#calls === 0) {
      this.#expiry?.cancel();
      this.options.onIdle();
      return;
    }
    const at = this.#state.nextExpiry;
    if (at === Number.POSITIVE_INFINITY || this.#expiry !== null) return;
    this.#expiry = this.options.runtime.clock.schedule(at - this.#now(), () => {
      this.#expiry = null;
      this.#kick();
    });
  }

  #pause(): Promise<void> {
    const { runtime } = this.options;
    const { first, longest } = PAUSE_MS;
    return sleep(runtime.clock, backoffMs(runtime.random, this.#failures - 1, first, longest));
  }

  #now(): number {
    return this.options.runtime.clock.now();
  }
}

export function givenBack(): HedgerowError {
  return new HedgerowError("canceled", "semaphore: the permit was given back meanwhile");
}
