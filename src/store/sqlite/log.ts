import type { Statement } from "bun:sqlite";
import type { CallOptions } from "../../runtime/runtime.ts";
import { checkAppend, checkCount, checkTrim } from "../check.ts";
import { type Found, readRange, refusal, repeated } from "../judge.ts";
import { checkKey, checkVersionId } from "../limits.ts";
import {
  type AppendOutcome,
  type Fence,
  type KeyHistory,
  type LogCursor,
  type LogStore,
  NO_APPEND_ID,
  type NewEntry,
  type ReadLimit,
  type StoredEntry,
  type Trim,
} from "../ports.ts";
import type { Connection } from "./connection.ts";
import type { FenceCheck } from "./fence.ts";
import { LogReads } from "./log-reads.ts";
import { AT_A_TIME, type LogRows } from "./log-rows.ts";

export class SqliteLogStore implements LogStore {
  readonly #find: Statement<{ timestamp: number; value: string }, [string, string]>;
  readonly #newestId: Statement<{ id: string }, [string]>;
  readonly #reads: LogReads;
  readonly #found: Found;

  constructor(
    private readonly connection: Connection,
    private readonly rows: LogRows,
    private readonly fence: FenceCheck,
    logTable: string,
  ) {
    this.#reads = new LogReads(connection, logTable);
    this.#find = connection.prepare(
      `SELECT timestamp, value FROM "${logTable}" WHERE id = ? AND key = ?`,
    );
    this.#newestId = connection.prepare(
      `SELECT id FROM "${logTable}" WHERE key = ? AND ${AT_A_TIME} ORDER BY timestamp DESC LIMIT 1`,
    );
    this.#found = {
      newestId: (key) => this.#newestId.get(key)?.id ?? "",
      token: (lockRow) => fence.token(lockRow),
    };
  }

  async append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AppendOutcome[]> {
    checkAppend(entries, fence);
    return this.connection.write("append", options, () => {
      if (fence !== null) this.fence.check(fence);
      let timestamp = this.rows.nextTimestamp();
      return entries.map((entry) => {
        const outcome = this.#refuse(entry) ?? this.#put(timestamp, entry);
        if (outcome.kind === "written" && outcome.timestamp === timestamp) timestamp++;
        return outcome;
      });
    });
  }

  async read(key: string, limit: ReadLimit, options: CallOptions = {}): Promise<StoredEntry[]> {
    checkKey(key);
    const { oldestFirst, count } = readRange(limit);
    return this.connection.read("read", options, () =>
      oldestFirst ? this.#reads.oldest(key, count) : this.#reads.newest(key, count),
    );
  }

  async readAfter(
    key: string,
    after: LogCursor | null,
    limit: number,
    options: CallOptions = {},
  ): Promise<StoredEntry[]> {
    checkKey(key);
    checkCount(limit);
    // No two rows have one timestamp.
    return this.connection.read("read on", options, () =>
      this.#reads.after(key, after?.timestamp ?? 0, limit),
    );
  }

  async locate(key: string, id: string, options: CallOptions = {}): Promise<number | null> {
    checkKey(key);
    checkVersionId(id);
    return this.connection.read(
      "find a version",
      options,
      () => this.#find.get(id, key)?.timestamp ?? null,
    );
  }

  async keys(
    after: string | null,
    limit: number,
    options: CallOptions = {},
  ): Promise<KeyHistory[]> {
    if (after !== null) checkKey(after);
    checkCount(limit);
    return this.connection.read("list keys", options, () => this.#reads.keys(after ?? "", limit));
  }

  async trim(
    keys: readonly Trim[],
    keep: number,
    limit: number,
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<number> {
    checkTrim(keys, keep, limit, fence);
    return this.connection.write("trim", options, () => {
      if (fence !== null) this.fence.check(fence);
      let left = limit;
      for (const { key, before } of keys) {
        if (left > 0) left -= this.rows.trim(key, before, keep, left);
      }
      return limit - left;
    });
  }

  /** Why an entry with conditions is not written, or that it is there; null if it is to be written. */
  #refuse(entry: NewEntry): AppendOutcome | null {
    if (entry.ifVersion === undefined && entry.fence === undefined) return null;
    return this.#there(entry) ?? refusal(entry, this.#found);
  }

  #put(timestamp: number, entry: NewEntry): AppendOutcome {
    if (this.rows.put(timestamp, entry)) return { kind: "written", timestamp };
    return this.#there(entry) as AppendOutcome;
  }

  /** The outcome for an appended entry whose id is there already. */
  #there(entry: NewEntry): AppendOutcome | null {
    if (entry.id === NO_APPEND_ID) return null;
    const stored = this.#find.get(entry.id, entry.key);
    return stored === null ? null : repeated(entry, stored);
  }
}
