import type { CallOptions } from "../runtime/runtime.ts";

/**
 * The database as Hedgerow sees it: domain operations, each one transaction of the adapter's own best
 * kind. `test/contract` holds every adapter to what is said here.
 *
 * Every call ends by its `timeoutMs` (default 10,000). Errors are HedgerowErrors:
 * `unavailable` (the time-out included) or `store_failed` when nothing was done, `outcome_unknown` when a
 * write may or may not have been committed, `canceled` (or the signal's own HedgerowError) when the signal
 * aborted before anything was done, `stopped` after `close`, `invalid_argument` and `too_large` for input
 * that no store takes.
 */
export interface Store {
  readonly lock: LockStore;
  /** null where no log table is configured. */
  readonly log: LogStore | null;
  /** null where no log table is configured. */
  readonly semaphores: SemaphoreStore | null;
  /** Resolves when the store answers; rejects with what is wrong and how to mend it. */
  ping(options?: CallOptions): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** The row of a lock, as read. */
export interface LockRow {
  /** Fencing token of the last take-over, microseconds since the epoch; 0 if the row has none. */
  readonly token: number;
  /** Who took it over last. It never means that this writer leads now. */
  readonly writer: string;
  /** Names this very heartbeat: two reads with equal `beat` saw an unchanged row. */
  readonly beat: string;
  /**
   * How long ago the heartbeat was by the database's clock, in milliseconds; Infinity once released;
   * null where no clock can tell (SQLite: the heartbeat is of another boot).
   */
  readonly ageMs: number | null;
  /** The lease of who took it over last, in milliseconds; null where the table does not hold it. */
  readonly leaseMs: number | null;
}

export interface TakeOver {
  readonly name: string;
  /** `host:port` of the contender. */
  readonly writer: string;
  /** The contender's lease, for others to see, in milliseconds. */
  readonly leaseMs: number;
  /** Token of the row that the contender judged, null for no row. Another one now: refused. */
  readonly expectedToken: number | null;
  /** The heartbeat must be at least this old by the database's clock, in milliseconds. */
  readonly minAgeMs: number;
  /**
   * A `beat` that the contender saw unchanged for `minAgeMs` on its own clock. While the row still
   * carries it, `minAgeMs` is taken as met.
   */
  readonly watchedBeat?: string | undefined;
}

export type TakeOverResult =
  | { readonly kind: "acquired"; readonly token: number }
  | { readonly kind: "refused"; readonly row: LockRow | null };

export interface LockStore {
  read(name: string, options?: CallOptions): Promise<LockRow | null>;
  /**
   * Takes the lock over in one transaction that reads the row and judges it by the database's clock.
   * The new token is greater than every earlier one of this lock, also if the row was deleted between.
   */
  acquire(takeOver: TakeOver, options?: CallOptions): Promise<TakeOverResult>;
  /** Sets the heartbeat to now where the token is `token`. Never touches token or writer. */
  renew(name: string, token: number, options?: CallOptions): Promise<"renewed" | "lost">;
  /** Gives the lock up where the token is `token`: anybody may take it over at once. */
  release(name: string, token: number, options?: CallOptions): Promise<"released" | "lost">;
}

/** A claim that the database checks inside the write's own transaction. */
export interface Fence {
  /** Name of the lock's row. */
  readonly name: string;
  readonly token: number;
}

/** Id of the one row of a key that `noAppend` puts replace. */
export const NO_APPEND_ID = "-";

export interface NewEntry {
  readonly key: string;
  /** `-` replaces the key's `-` row; any other id is inserted, and stays. */
  readonly id: string;
  readonly value: string;
  /** Address of the node that writes. */
  readonly leader: string;
}

export interface StoredEntry extends NewEntry {
  /** Microseconds since the epoch; rises with every entry of one key. */
  readonly timestamp: number;
}

export type AppendOutcome =
  /** Written now, or found there with the same value: acknowledged with the stored time. */
  | { readonly kind: "written"; readonly timestamp: number }
  /** The id exists with another value; this entry was not written, the others were. */
  | { readonly kind: "conflict" };

/** Newest first: 0 the latest, n > 0 the newest n, -1 all, -2 the oldest, any other the latest. */
export type ReadLimit = number;

export interface LogStore {
  /**
   * Writes entries of different keys in one transaction, each independently of the others' conflicts;
   * two of one key are `invalid_argument`, more than MAX_BATCH_ENTRIES `too_large`.
   * With a fence the transaction reads the lock's token and writes nothing unless it is the fence's:
   * then it throws `fenced`. null is for direct writes.
   */
  append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options?: CallOptions,
  ): Promise<AppendOutcome[]>;
  /** Versions of a key in the order (timestamp, id), newest first; rows without a timestamp are left out. */
  read(key: string, limit: ReadLimit, options?: CallOptions): Promise<StoredEntry[]>;
}

/** Who holds a permit. */
export interface Permit {
  /** Named by the caller; the node's address by default. One permit per owner and semaphore. */
  readonly owner: string;
  /** Address of the member on whose behalf it is held. */
  readonly holder: string;
  /** Incarnation of that member. */
  readonly incarnation: number;
}

/**
 * Permits as rows of the log table, in the Go system's layout (parity.md). All writes are fenced by the
 * leader's token, as those of the log are.
 */
export interface SemaphoreStore {
  /** Creates the semaphore, or finds it. */
  create(
    name: string,
    limit: number,
    creator: string,
    fence: Fence,
    options?: CallOptions,
  ): Promise<{ readonly kind: "ready" } | { readonly kind: "other-limit"; readonly limit: number }>;
  /** Takes a permit if fewer than the limit are taken; "held" when this owner has one already. */
  acquire(
    name: string,
    permit: Permit,
    fence: Fence,
    options?: CallOptions,
  ): Promise<"acquired" | "held" | "full" | "missing">;
  /** Gives the owner's permit back. The last one takes the semaphore's own row with it. */
  release(
    name: string,
    owner: string,
    fence: Fence,
    options?: CallOptions,
  ): Promise<"released" | "not-held">;
  /** The permits taken, in the order in which they were, without reading the rest of the log table. */
  permits(name: string, options?: CallOptions): Promise<Permit[]>;
}
