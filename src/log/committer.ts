import { HedgerowError } from "../errors.ts";
import type { Claim, Leadership } from "../lock/lease.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { AppendOutcome, LogStore, NewEntry } from "../store/ports.ts";
import { refusalError, unknownOutcome } from "./conditions.ts";
import { type Waiting, WaitingPuts } from "./waiting.ts";

/** Bounds of what waits and of one commit. */
const COMMIT_LIMITS = {
  queuedEntries: 20_000,
  queuedBytes: 64 * 1024 * 1024,
  batchEntries: 512,
  batchBytes: 4 * 1024 * 1024,
} as const;

/** Pause before a commit of unknown outcome is made again. */
const RESOLVE_PAUSE_MS = 50;

/** Time-out of one commit in milliseconds, before its outcome counts as unknown. */
const COMMIT_TIMEOUT_MS = 2_000;

/** Told of each commit before those who wait for it: the entries, and what became of each, null if unknown. */
export type CommitListener = (
  claim: Claim,
  entries: readonly NewEntry[],
  outcomes: readonly AppendOutcome[] | null,
) => void;

/**
 * The leader's writer. One commit is in flight at a time; what arrives meanwhile travels together in the
 * next. A batch holds one version per key at most, so versions of a key commit in the order of arrival.
 */
export class Committer {
  readonly #waiting = new WaitingPuts();
  #flushing = false;
  /** The batch that was sent and not answered. */
  #underWay: readonly Waiting[] = [];

  /** What waits when `shutdown` aborts ends then; none of it is written later. */
  constructor(
    private readonly store: LogStore,
    private readonly leadership: Leadership,
    private readonly clock: Clock,
    private readonly onCommit: CommitListener,
    private readonly shutdown: AbortSignal,
  ) {
    shutdown.addEventListener("abort", () => this.#stop(), { once: true });
  }

  /** Puts that wait for their commit. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Writes one entry under this node's claim; resolves to its timestamp in microseconds. Throws
   * `not_leader`, `overloaded`, `timeout` and `stopped` (surely not written), `outcome_unknown`, `conflict`,
   * `fenced` (by the entry's own condition), and the store's errors.
   */
  append(entry: NewEntry, deadline: number): Promise<number> {
    if (this.leadership.claim() === null) return Promise.reject(notLeader());
    const bytes = 3 * (entry.key.length + entry.value.length + entry.id.length);
    if (
      this.#waiting.size >= COMMIT_LIMITS.queuedEntries ||
      this.#waiting.bytes + bytes > COMMIT_LIMITS.queuedBytes
    ) {
      return Promise.reject(
        new HedgerowError("overloaded", "too many puts are waiting: try again later", {
          retryDelayMs: 100,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ entry, bytes, deadline, resolve, reject });
      if (!this.#flushing) {
        this.#flushing = true;
        // Whatever the event loop has ready joins the first batch.
        this.clock.schedule(0, () => void this.#flush());
      }
    });
  }

  async #flush(): Promise<void> {
    while (this.#waiting.size > 0) {
      const { batch, expired } = this.#waiting.take(this.clock.now(), COMMIT_LIMITS);
      for (const waiting of expired) {
        waiting.reject(
          new HedgerowError("timeout", "put: its deadline passed before it was written"),
        );
      }
      if (batch.length === 0) continue;
      this.#underWay = batch;
      await this.#commit(batch);
      this.#underWay = [];
    }
    this.#flushing = false;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    const entries = batch.map((waiting) => waiting.entry);
    let unresolved: Claim | null = null;
    for (;;) {
      const claim = this.shutdown.aborted ? null : this.leadership.claim();
      if (unresolved !== null && claim?.token !== unresolved.token) {
        return this.#giveUp(batch, unresolved);
      }
      if (claim === null) return rejectAll(batch, notLeader());
      try {
        const outcomes = await this.store.append(entries, claim.fence, {
          timeoutMs: COMMIT_TIMEOUT_MS,
        });
        this.onCommit(claim, entries, outcomes);
        return settle(batch, outcomes, unresolved !== null);
      } catch (error) {
        const failure = HedgerowError.from(error);
        if (failure.code === "fenced") {
          this.leadership.refute(claim.token);
        } else if (failure.code === "outcome_unknown" || failure.code === "timeout") {
          // The same batch again, under the same token, and no other before it: inserts are idempotent by
          // their ids, and a `-` row has no other writer. So an unknown outcome is resolved before the next.
          unresolved = claim;
          await sleep(this.clock, RESOLVE_PAUSE_MS);
        } else {
          if (unresolved !== null) return this.#giveUp(batch, unresolved);
          return rejectAll(batch, failure);
        }
      }
    }
  }

  #stop(): void {
    rejectAll(this.#underWay, unknownOutcome());
    rejectAll(this.#waiting.takeAll(), new HedgerowError("stopped", "put: the node is stopping"));
  }

  /** Its outcome stays unknown. */
  #giveUp(batch: readonly Waiting[], claim: Claim): void {
    const entries = batch.map((waiting) => waiting.entry);
    this.onCommit(claim, entries, null);
    rejectAll(batch, unknownOutcome());
  }
}

function settle(
  batch: readonly Waiting[],
  outcomes: readonly AppendOutcome[],
  repeated: boolean,
): void {
  batch.forEach((waiting, i) => {
    const outcome = outcomes[i] as AppendOutcome; // one for each
    if (outcome.kind === "written") waiting.resolve(outcome.timestamp);
    else waiting.reject(refusalError(waiting.entry, outcome, repeated));
  });
}

function rejectAll(batch: readonly Waiting[], error: HedgerowError): void {
  for (const waiting of batch) waiting.reject(error);
}

function notLeader(): HedgerowError {
  return new HedgerowError("not_leader", "put: this node does not lead");
}
