import type { CallOptions } from "../runtime/runtime.ts";
import type { SpillBatch } from "./batch.ts";

/** The four places of records, in the order in which they are filled. */
export const TIERS = ["localMemory", "localDisk", "remoteMemory", "remoteDisk"] as const;
export type Tier = (typeof TIERS)[number];

/** What a store may take. */
export interface SpillLimits {
  /** Bytes of memory on each node. Default: the node's own limit. */
  readonly memoryBytes?: number | undefined;
  /** Bytes of disk on each node. Default: the node's own limit. */
  readonly diskBytes?: number | undefined;
  /** Whole milliseconds that the store lives after its last reference, 100 to a day. Default 30,000. */
  readonly expiryMs?: number | undefined;
}

/**
 * Records in the memory and on the disks of the cluster, in the order in which they were appended. Open writers and
 * iterations under way are references: the store is freed by `close`, or once it had none for its expiry. Then all of
 * its methods throw `not_found`, but `stats`, which like `count` finds nothing, and the name can be used anew. When the
 * node stops they throw `stopped`.
 */
export interface SpillStore extends AsyncDisposable {
  readonly name: string;
  /** Records appended so far. */
  readonly count: number;
  /** Bytes that a record may have: the largest power of two up to a sixteenth of the larger limit, 4 KiB to 8 MiB. */
  readonly maxRecordBytes: number;
  /** Any number of writers append at once or in turn; their records stand in the order of the calls. */
  writer(): SpillWriter;
  reader(options?: SpillReadOptions): SpillReader;
  /**
   * A copy of record `index`. For records here and there: a reader is faster for those that stand in a row. Of a record
   * on disk the whole segment is verified each time (some 0.4 ms), of one on another node it is fetched (tens of
   * milliseconds, more over slow links), and kept for a second after its last use for the records around it. Waits 30 s
   * at the most. Throws `invalid_argument` for an index that there is not, `data_lost`, `out_of_reach`, `not_found` once
   * the store is closed, `timeout`, `canceled`.
   */
  at(index: number, options?: CallOptions): Promise<Uint8Array>;
  /**
   * Each segment as the bytes of an Arrow file with one Binary column, `record`: for other programs to read, once
   * written to files. A view, valid until the next step. Throws what iterations of a reader throw.
   */
  arrowFiles(options?: Pick<SpillReadOptions, "signal">): AsyncIterableIterator<Uint8Array>;
  stats(): SpillStats;
  /** Frees everything, here and elsewhere, whoever uses it still. Idempotent; disposing does the same. */
  close(): Promise<void>;
}

export interface SpillWriter extends AsyncDisposable {
  /**
   * Appends one record. Gives nothing if it has been taken; else a promise to be awaited before the next record, which
   * resolves when it has been (until then its bytes must not change). Text is stored as UTF-8. A record that was taken
   * can be read. Throws, at once or by the promise: `too_large` (over `maxRecordBytes`), `no_space` (no node has room;
   * the next record may find some), `data_lost` (a node with records of this store is gone: begin anew), `out_of_reach`
   * (it does not answer: a later record is taken if it does by then), `overloaded` (this writer's promise before was not awaited), `not_found` (the writer or the store is closed),
   * `invalid_argument` (neither bytes nor text).
   */
  append(record: Uint8Array | string): Promise<void> | undefined;
  /** Appends all, awaiting where need be. */
  appendAll(
    records: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
  ): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface SpillReadOptions {
  /** Index of the first record to read. Default 0. */
  readonly from?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Iterates as often as it is asked to, over the records that are there when an iteration begins. What is given is a
 * view, valid until the next step: copy what is to be kept, write to nothing. For a node that does not answer an
 * iteration waits, 10 s at the most (less if the store's expiry is shorter). Iterations throw `data_lost` with the range
 * of records that are gone (read on behind it with `from`), `out_of_reach` with that of records whose node still does
 * not answer (one from there, later, may find them), `not_found` once the store is closed, and
 * `canceled` (or the HedgerowError that the signal aborts with). Leaving one (`return`) ends a step that is under way,
 * too: it is done.
 */
export interface SpillReader extends AsyncIterable<Uint8Array> {
  /** Many records at a time: several times as fast as one by one. */
  batches(): AsyncIterableIterator<SpillBatch>;
}

export interface SpillStats {
  readonly records: number;
  /** Bytes of the records. */
  readonly bytes: number;
  readonly tiers: Readonly<Record<Tier, TierStats>>;
  /** Of the records, those whose node is known to be gone, or not to answer: reading them may tell more. */
  readonly lost: number;
  readonly outOfReach: number;
  /** What the store takes of this node's memory and disk, in bytes. */
  readonly memoryUsed: number;
  readonly diskUsed: number;
  /** Those that it was made with, and the defaults for those that were left out. */
  readonly limits: { readonly [Limit in keyof SpillLimits]-?: number };
  /** Writers that are open, and iterations under way. */
  readonly references: number;
}

export interface TierStats {
  readonly segments: number;
  readonly records: number;
  /** Bytes of the records. */
  readonly bytes: number;
}
