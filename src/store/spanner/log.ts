import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import { DEFAULT_TIMEOUT_MS } from "../calls.ts";
import { checkAppend, checkCount, checkTrim } from "../check.ts";
import { readRange } from "../judge.ts";
import { checkKey, checkVersionId, MAX_VALUE_BYTES } from "../limits.ts";
import type {
  AppendOutcome,
  Fence,
  KeyHistory,
  LogCursor,
  LogStore,
  NewEntry,
  ReadLimit,
  StoredEntry,
  Trim,
} from "../ports.ts";
import type { Statement } from "./api.ts";
import type { Connection } from "./connection.ts";
import { fencedWrites } from "./fence.ts";
import { appendWrites, insertions, isConditional, type LogTables } from "./log-append.ts";
import * as queries from "./log-queries.ts";
import { deleteRows, key as keyOf, microsOf, text, textOf } from "./values.ts";

/** A plain answer ends at 10 MiB: so many versions surely fit. */
const SMALL_COUNT = Math.floor((8 * 1024 * 1024) / MAX_VALUE_BYTES);

export class SpannerLogStore implements LogStore {
  readonly #tables: LogTables;

  constructor(
    private readonly connection: Connection,
    lockTable: string,
    private readonly logTable: string,
  ) {
    this.#tables = { lockTable, logTable };
  }

  async append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AppendOutcome[]> {
    checkAppend(entries, fence);
    const { clock } = this.connection.runtime;
    const deadline = clock.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    try {
      if (fence !== null || entries.some(isConditional)) {
        return await this.#append(entries, fence, [], options);
      }
      return await this.#insertAll(entries, options);
    } catch (error) {
      if (!HedgerowError.is(error, "conflict")) throw error;
      // One of them is there, so that none was written: now those that are not.
      const timeoutMs = deadline - clock.now();
      return await this.#append(entries, fence, entries, { ...options, timeoutMs });
    }
  }

  async read(key: string, limit: ReadLimit, options: CallOptions = {}): Promise<StoredEntry[]> {
    checkKey(key);
    const { oldestFirst, count } = readRange(limit);
    const order = oldestFirst ? "oldest first" : "newest first";
    const bounded = count >= Number.MAX_SAFE_INTEGER ? null : count;
    const query = queries.versions(this.logTable, key, order, bounded);
    return this.#entries("read", key, query, count, options);
  }

  async readAfter(
    key: string,
    after: LogCursor | null,
    limit: number,
    options: CallOptions = {},
  ): Promise<StoredEntry[]> {
    checkKey(key);
    checkCount(limit);
    const query =
      after === null
        ? queries.versions(this.logTable, key, "oldest first", limit)
        : queries.versionsAfter(this.logTable, key, after, limit);
    return this.#entries("read on", key, query, limit, options);
  }

  async locate(key: string, id: string, options: CallOptions = {}): Promise<number | null> {
    checkKey(key);
    checkVersionId(id);
    const [row] = await this.connection.query("find a version", options, {
      sql: `SELECT timestamp FROM \`${this.logTable}\` WHERE key = @key AND id = @id`,
      params: { fields: { key: text(key), id: text(id) } },
    });
    return row === undefined ? null : microsOf(row[0]);
  }

  async keys(
    after: string | null,
    limit: number,
    options: CallOptions = {},
  ): Promise<KeyHistory[]> {
    if (after !== null) checkKey(after);
    checkCount(limit);
    const query = queries.keysAfter(this.logTable, after ?? "", limit);
    const rows = await this.connection.query("list keys", options, query);
    return rows.map(([key, oldest, newest]) => ({
      key: textOf(key) ?? "",
      oldest: microsOf(oldest) as number,
      newest: microsOf(newest) as number,
    }));
  }

  /** Old versions stay old: they are looked for outside of the transaction, which then locks nobody's key. */
  async trim(
    keys: readonly Trim[],
    keep: number,
    limit: number,
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<number> {
    checkTrim(keys, keep, limit, fence);
    const { clock } = this.connection.runtime;
    const deadline = clock.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const query = queries.oldVersions(this.logTable, keys, keep, limit);
    const old = await this.connection.query("trim", options, query, "large");
    const rows = old.map(([key, id]) => keyOf(textOf(key) ?? "", textOf(id) ?? ""));
    const mutations = rows.length > 0 ? [deleteRows(this.logTable, { keys: rows })] : [];
    const rest = { ...options, timeoutMs: deadline - clock.now() };
    if (fence === null) {
      if (rows.length > 0) await this.connection.write("trim", rest, mutations);
      return rows.length;
    }
    return this.connection.readWrite("trim", rest, (transaction) =>
      fencedWrites(transaction, this.#tables.lockTable, fence, () => ({
        mutations,
        result: () => rows.length,
      })),
    );
  }

  /** Of entries without conditions, and without a fence: if one is there, none is written, and `conflict` thrown. */
  async #insertAll(entries: readonly NewEntry[], options: CallOptions): Promise<AppendOutcome[]> {
    if (entries.length === 0) return [];
    const mutations = insertions(this.logTable, entries);
    const timestamp = await this.connection.write("append", options, mutations);
    return entries.map(() => ({ kind: "written", timestamp }));
  }

  #append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    suspected: readonly NewEntry[],
    options: CallOptions,
  ): Promise<AppendOutcome[]> {
    return this.connection.readWrite("append", options, (transaction) =>
      appendWrites(transaction, this.#tables, entries, fence, suspected),
    );
  }

  async #entries(
    what: string,
    key: string,
    query: Statement,
    count: number,
    options: CallOptions,
  ): Promise<StoredEntry[]> {
    const size = count <= SMALL_COUNT ? "small" : "large";
    const rows = await this.connection.query(what, options, query, size);
    return rows.map(([id, value, leader, timestamp]) => ({
      key,
      id: textOf(id) ?? "",
      value: textOf(value) ?? "",
      leader: textOf(leader) ?? "",
      timestamp: microsOf(timestamp) as number,
    }));
  }
}
