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
   * null where no clock can tell: the heartbeat is of another boot (SQLite), or the marker of another
   * contender stands, which may be about to write the row (Spanner, memory). `beat` tells of the marker, too.
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

export interface Entry {
  readonly key: string;
  /** `-` replaces the key's `-` row; any other id is inserted, and stays. */
  readonly id: string;
  readonly value: string;
  /** Address of the node that writes. */
  readonly leader: string;
}

/** What is to be written, on conditions that the database checks in the write's own transaction. */
export interface NewEntry extends Entry {
  /** Id of the version that must be the key's newest; empty: it must have none. Default: no condition. */
  readonly ifVersion?: string | undefined;
  /** A claim to any lock, beside the leader's own. Default: no condition. */
  readonly fence?: Fence | undefined;
}

export interface StoredEntry extends Entry {
  /** Microseconds since the epoch; rises with every entry of one key. */
  readonly timestamp: number;
}

export type AppendOutcome =
  /** Written now, or found there with the same value: acknowledged with the stored time. */
  | { readonly kind: "written"; readonly timestamp: number }
  /** The id exists with another value; this entry was not written, the others were. */
  | { readonly kind: "conflict" }
  /** Another version than `ifVersion` is the newest: the one of this id, empty for none. Not written. */
  | { readonly kind: "other-version"; readonly current: string }
  /** The lock that the entry names has another token. Not written. */
  | { readonly kind: "fenced" };

/** A version's place among those of its key, whose order is (timestamp, id). */
export interface LogCursor {
  readonly timestamp: number;
  readonly id: string;
}

/** A key, and the times of its first and last version, microseconds since the epoch. */
export interface KeyHistory {
  readonly key: string;
  readonly oldest: number;
  readonly newest: number;
}

/** What may go of a key: versions before a time, microseconds since the epoch. */
export interface Trim {
  readonly key: string;
  readonly before: number;
}

/** Newest first: 0 the latest, n > 0 the newest n, -1 all, -2 the oldest, any other the latest. */
export type ReadLimit = number;

export interface LogStore {
  /**
   * Writes entries of different keys in one transaction, each independently of the others' conflicts;
   * two of one key are `invalid_argument`, more than MAX_BATCH_ENTRIES `too_large`.
   * With a fence the transaction reads the lock's token and writes nothing unless it is the fence's:
   * then it throws `fenced`. null is for direct writes. An entry that is there already, with the same value,
   * is acknowledged whatever its own conditions: it is the retry of a write whose reply was lost.
   */
  append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options?: CallOptions,
  ): Promise<AppendOutcome[]>;
  /** Versions of a key in the order (timestamp, id), newest first; rows without a timestamp are left out. */
  read(key: string, limit: ReadLimit, options?: CallOptions): Promise<StoredEntry[]>;
  /**
   * The first versions of a key after a place (null: all), at most `limit`, oldest first. None that is
   * committed later comes before one that was read.
   */
  readAfter(
    key: string,
    after: LogCursor | null,
    limit: number,
    options?: CallOptions,
  ): Promise<StoredEntry[]>;
  /** When the version of this id was written, microseconds since the epoch; null if the key has none. */
  locate(key: string, id: string, options?: CallOptions): Promise<number | null>;
  /** The first keys after one (null: all), at most `limit`, in the store's own order. */
  keys(after: string | null, limit: number, options?: CallOptions): Promise<KeyHistory[]>;
  /**
   * Removes versions, each key's oldest first and at most `limit` in all; tells how many. The newest `keep`
   * of each key stay (at least 1), and its `-` row. Fenced as `append` is. Keys of Hedgerow's own are
   * `invalid_argument`.
   */
  trim(
    keys: readonly Trim[],
    keep: number,
    limit: number,
    fence: Fence | null,
    options?: CallOptions,
  ): Promise<number>;
}

/** Who holds a permit. */
export interface Permit {
  /** Named by the caller; the node's address by default. One permit per owner and semaphore. */
  readonly owner: string;
  /** Address of the member on whose behalf it is held. */
  readonly holder: string;
  /** Incarnation of that member; 0 in rows of the Go system. */
  readonly incarnation: number;
  /** Made by the holder for this one acquisition; empty in rows of the Go system. */
  readonly grant: string;
  /** The work is not the member's own: it does not end with the member's process. */
  readonly detached: boolean;
}

/** What a transaction does to the permits of one semaphore. */
export interface PermitChange {
  /** Its name. */
  readonly semaphore: string;
  /** The limit that those who take permits know. */
  readonly limit: number;
  /** Permits to give back; those that are not there, or there by another grant, are passed over. */
  readonly release: readonly Pick<Permit, "owner" | "grant">[];
  /** Permits to take in this order, once the others are back. */
  readonly acquire: readonly Permit[];
}

export type AcquireOutcome =
  /** Taken now, or found there by the same grant. */
  | "acquired"
  /** The owner has a permit by another grant. */
  | "held"
  /** As many as the limit are taken. */
  | "full"
  /** The semaphore exists with another limit. */
  | "other-limit";

/** A semaphore as it lies in the table. */
export interface SemaphoreRows {
  /** null without any: once drained, the name is free for another limit. */
  readonly limit: number | null;
  /** In the order in which they were taken. */
  readonly permits: readonly Permit[];
}

/**
 * Permits as rows of the log table, in the Go system's layout (parity.md). A semaphore is there from its
 * first permit to its last.
 */
export interface SemaphoreStore {
  /** Without reading the rest of the log table. */
  read(name: string, options?: CallOptions): Promise<SemaphoreRows>;
  /**
   * Gives permits back and takes others in one transaction, which counts them; gives each change's outcomes of
   * those to take. Two changes of one semaphore are `invalid_argument`. The same again has the effect of one.
   * Fenced by the leader's token as the log's writes are.
   */
  change(
    changes: readonly PermitChange[],
    fence: Fence | null,
    options?: CallOptions,
  ): Promise<AcquireOutcome[][]>;
}
