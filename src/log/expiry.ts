import { HedgerowError } from "../errors.ts";
import type { Claim, Leadership } from "../lock/lease.ts";
import type { Logger } from "../observe/logger.ts";
import { sleep } from "../runtime/operation.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { isReservedKey } from "../store/limits.ts";
import type { AppendOutcome, KeyHistory, LogStore, NewEntry, Trim } from "../store/ports.ts";
import { DueKeys } from "./due-keys.ts";

/** What stays of a key: its newest versions, and those younger than an age. */
export interface Retention {
  /** 1 to MAX_KEPT_VERSIONS. */
  readonly keepVersions: number;
  /** Milliseconds; null where the age does not count. */
  readonly keepAgeMs: number | null;
}

/**
 * No version is removed before it has been known for so long: a put whose reply was lost is repeated within
 * it, and watchers read it within it.
 */
export const MIN_KEEP_MS = 60_000;

/** Bounds what it takes to find where a key's old versions begin. */
export const MAX_KEPT_VERSIONS = 10_000;

/** Of one round: keys that are looked at, and versions removed. */
const ROUND = { keys: 64, versions: 250 } as const;
/** Keys that wait for their time; those beyond it are found by the next sweep. */
const MAX_DUE_KEYS = 10_000;
/** Between rounds, in milliseconds: while there is something to do, without, and after a failure. */
const PAUSE_MS = { busy: 20, idle: 10_000, failed: 5_000 } as const;
/** Rounds take a tenth of the time at most. */
const REST = 9;
/** Between the beginnings of two sweeps through all keys, in milliseconds. */
const SWEEP_MS = { least: 60_000, most: 3_600_000 } as const;

export interface ExpiryOptions {
  readonly store: LogStore;
  readonly retention: Retention;
  readonly runtime: Runtime;
  readonly leadership: Leadership;
  readonly logger: Logger;
  readonly shutdown: AbortSignal;
}

/**
 * The leader's removal of old versions, in rounds of bounded work: of keys that were written, soon after,
 * and of all others in a sweep through the table now and then.
 */
export class Expiry {
  readonly #due = new DueKeys(MIN_KEEP_MS, MAX_DUE_KEYS);
  /** Keys whose turn it is, before others. */
  #now: Trim[] = [];
  /** The sweep goes on after this key; null: from the first. */
  #sweptTo: string | null = null;
  #sweepAt = 0;
  /** A key found no room: the next sweep comes soon. */
  #overflowed = false;
  readonly #sweepEveryMs: number;
  #token: number | null = null;
  /** When the lead began, on the own clock. */
  #since = 0;

  constructor(private readonly options: ExpiryOptions) {
    const ageMs = options.retention.keepAgeMs ?? Number.POSITIVE_INFINITY;
    this.#sweepEveryMs = Math.max(SWEEP_MS.least, Math.min(SWEEP_MS.most, ageMs / 4));
  }

  /** Under this token this node removes what may go, as long as it leads. */
  lead(token: number): void {
    if (this.#token === token) return;
    this.#token = token;
    this.#since = this.options.runtime.clock.now();
    this.#due.clear();
    this.#now = [];
    this.#sweptTo = null;
    this.#sweepAt = 0;
    void this.#run(token);
  }

  /** Entries were written under this node's lead. */
  written(entries: readonly NewEntry[], outcomes: readonly AppendOutcome[]): void {
    // With an age, what is written now goes much later: the sweep finds it.
    if (this.options.retention.keepAgeMs !== null) return;
    const now = this.options.runtime.clock.now();
    entries.forEach(({ key }, i) => {
      const outcome = outcomes[i];
      if (outcome?.kind === "written") this.#note(key, outcome.timestamp, now);
    });
  }

  async #run(token: number): Promise<void> {
    const { runtime, leadership, shutdown } = this.options;
    const { clock } = runtime;
    while (this.#token === token && !shutdown.aborted) {
      const claim = leadership.claim();
      if (claim?.token !== token) break;
      const startedAt = clock.now();
      const result = await this.#round(claim, startedAt);
      const tookMs = clock.now() - startedAt;
      const pauseMs = Math.max(PAUSE_MS[result], result === "busy" ? REST * tookMs : 0);
      await sleep(clock, pauseMs, shutdown).catch(() => {}); // the loop looks at what ended it
    }
    if (this.#token === token) this.#token = null;
  }

  async #round(claim: Claim, now: number): Promise<keyof typeof PAUSE_MS> {
    try {
      const swept = await this.#sweep(now);
      const removed = await this.#trim(claim, now);
      return swept || removed ? "busy" : "idle";
    } catch (thrown) {
      const { code, message: error } = HedgerowError.from(thrown);
      if (code === "fenced") this.options.leadership.refute(claim.token);
      else this.options.logger.warn("old versions stay for now", { code, error });
      return "failed";
    }
  }

  /** Notes the next keys of the sweep that have something to remove; tells whether it goes on. */
  async #sweep(now: number): Promise<boolean> {
    if (now < this.#sweepAt || this.#due.room < ROUND.keys) return false;
    if (this.#sweptTo === null) this.#overflowed = false;
    const { store, runtime } = this.options;
    const page = await store.keys(this.#sweptTo, ROUND.keys);
    const knownAt = runtime.clock.now();
    const bound = this.#ageBound() + MIN_KEEP_MS * 1e3;
    for (const history of page) {
      if (hasOld(history, bound)) this.#note(history.key, history.newest, knownAt);
    }
    this.#sweptTo = page.at(-1)?.key ?? null;
    if (page.length === ROUND.keys) return true;
    this.#sweptTo = null;
    this.#sweepAt = now + (this.#overflowed ? MIN_KEEP_MS : this.#sweepEveryMs);
    return false;
  }

  /** Removes versions of the keys that are due; tells whether there were any. */
  async #trim(claim: Claim, now: number): Promise<boolean> {
    if (this.#now.length === 0) this.#now = this.#due.take(now, ROUND.keys);
    if (this.#now.length === 0) return false;
    const { store, retention, logger } = this.options;
    const bound = this.#ageBound();
    const keys = this.#now.map(({ key, before }) => ({ key, before: Math.min(before, bound) }));
    const removed = await store.trim(keys, retention.keepVersions, ROUND.versions, claim.fence);
    if (removed > 0) logger.debug("old versions removed", { versions: removed });
    if (removed < ROUND.versions) this.#now = [];
    return true;
  }

  /**
   * Versions before this time are over the age, microseconds since the epoch. The token is the database's time when
   * the lead began: with what the own clock says has passed since, a wall clock that jumps ahead ages nothing.
   */
  #ageBound(): number {
    const { retention, runtime } = this.options;
    if (retention.keepAgeMs === null) return Number.MAX_SAFE_INTEGER;
    const { clock } = runtime;
    const sinceToken = (this.#token ?? 0) + (clock.now() - this.#since) * 1e3;
    const now = Math.min(clock.wallMicros(), sinceToken);
    return Math.max(0, Math.floor(now - retention.keepAgeMs * 1e3));
  }

  #note(key: string, timestamp: number, now: number): void {
    if (isReservedKey(key) || this.#due.note(key, timestamp, now)) return;
    this.#overflowed = true;
    this.#sweepAt = Math.min(this.#sweepAt, now + MIN_KEEP_MS);
  }
}

function hasOld({ oldest, newest }: KeyHistory, bound: number): boolean {
  return oldest < newest && oldest < bound;
}
