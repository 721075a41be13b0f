import type { HedgerowError } from "../errors.ts";
import type { Claim } from "../lock/lease.ts";
import type { AcquireOutcome, PermitChange, SemaphoreStore } from "../store/ports.ts";

/** Of one transaction: semaphores, and permits that come or go, unless the first change alone has more. */
const MAX_SEMAPHORES = 64;
const MAX_PERMITS = 1_000;
/** In milliseconds, before its outcome counts as unknown. */
const TIMEOUT_MS = 2_000;

export interface ScribeOptions {
  readonly store: SemaphoreStore;
  /** The leader's, under which everything is written; null once that is over. */
  readonly claim: () => Claim | null;
  readonly notLeader: () => HedgerowError;
}

interface Waiting {
  readonly change: PermitChange;
  readonly resolve: (outcomes: AcquireOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes for all desks of a leader: one transaction is in flight, and what comes meanwhile travels together in the
 * next. Several at once would read what the others write, and databases let one of those go on at a time.
 */
export class Scribe {
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(private readonly options: ScribeOptions) {}

  /** One change of a semaphore at a time. Throws `not_leader`, and the store's errors. */
  write(change: PermitChange): Promise<AcquireOutcome[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
      if (!this.#writing) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) await this.#writeSome(this.#takeSome());
    this.#writing = false;
  }

  async #writeSome(batch: readonly Waiting[]): Promise<void> {
    const { store, claim, notLeader } = this.options;
    try {
      const held = claim();
      if (held === null) throw notLeader();
      const changes = batch.map(({ change }) => change);
      const outcomes = await store.change(changes, held.fence, { timeoutMs: TIMEOUT_MS });
      for (const [i, { resolve }] of batch.entries()) resolve(outcomes[i] ?? []);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  #takeSome(): Waiting[] {
    let permits = 0;
    const fits = ({ change }: Waiting, i: number) => {
      permits += change.release.length + change.acquire.length;
      return i === 0 || (i < MAX_SEMAPHORES && permits <= MAX_PERMITS);
    };
    const end = this.#waiting.findIndex((waiting, i) => !fits(waiting, i));
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end);
  }
}
