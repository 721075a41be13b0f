import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import { DEFAULT_TIMEOUT_MS } from "../calls.ts";
import { checkAppend } from "../check.ts";
import { readRange } from "../judge.ts";
import { checkKey, MAX_VALUE_BYTES } from "../limits.ts";
import {
  type AppendOutcome,
  type Fence,
  type LogStore,
  NO_APPEND_ID,
  type NewEntry,
  type ReadLimit,
  type StoredEntry,
} from "../ports.ts";
import type { Mutation, MutationWrite } from "./api.ts";
import type { Connection, Writes } from "./connection.ts";
import { fencedWrites } from "./fence.ts";
import type { Transaction } from "./transaction.ts";
import { COMMIT_TIMESTAMP, key as keyOf, microsOf, text, textOf } from "./values.ts";

/** A plain answer ends at 10 MiB: so many versions surely fit. */
const SMALL_COUNT = Math.floor((8 * 1024 * 1024) / MAX_VALUE_BYTES);

/** As `#rows` fills them. */
const COLUMNS = ["key", "id", "value", "leader", "timestamp"];

export class SpannerLogStore implements LogStore {
  constructor(
    private readonly connection: Connection,
    private readonly lockTable: string,
    private readonly logTable: string,
  ) {}

  async append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AppendOutcome[]> {
    checkAppend(entries, fence);
    const { clock } = this.connection.runtime;
    const deadline = clock.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    try {
      return await this.#insertAll(entries, fence, options);
    } catch (error) {
      if (!HedgerowError.is(error, "conflict")) throw error;
      // One of them is there, so that none was written: now those that are not.
      const timeoutMs = deadline - clock.now();
      return await this.#insertMissing(entries, fence, { ...options, timeoutMs });
    }
  }

  async read(key: string, limit: ReadLimit, options: CallOptions = {}): Promise<StoredEntry[]> {
    checkKey(key);
    const { oldestFirst, count } = readRange(limit);
    const order = oldestFirst ? "timestamp, id" : "timestamp DESC, id DESC";
    const all = count >= Number.MAX_SAFE_INTEGER;
    const rows = await this.connection.query(
      "read",
      options,
      {
        sql: `SELECT id, value, leader, timestamp FROM \`${this.logTable}\`
          WHERE key = @key AND timestamp IS NOT NULL ORDER BY ${order}${all ? "" : " LIMIT @count"}`,
        params: { fields: { key: text(key), ...(all ? {} : { count: text(`${count}`) }) } },
        paramTypes: all ? {} : { count: { code: "INT64" } },
      },
      count <= SMALL_COUNT ? "small" : "large",
    );
    return rows.map(([id, value, leader, timestamp]) => ({
      key,
      id: textOf(id) ?? "",
      value: textOf(value) ?? "",
      leader: textOf(leader) ?? "",
      timestamp: microsOf(timestamp) as number,
    }));
  }

  /** Takes for granted that no appended entry is there; else nothing is written, and `conflict` thrown. */
  async #insertAll(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions,
  ): Promise<AppendOutcome[]> {
    const writes: Writes<AppendOutcome[]> = {
      mutations: this.#writes(entries),
      result: (timestamp) => entries.map(() => ({ kind: "written", timestamp })),
    };
    if (fence !== null) {
      return this.connection.readWrite("append", options, (transaction) =>
        fencedWrites(transaction, this.lockTable, fence, () => writes),
      );
    }
    if (entries.length === 0) return [];
    return writes.result(await this.connection.write("append", options, writes.mutations));
  }

  /** Looks which entries are there, and writes the others in the same transaction. */
  #insertMissing(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions,
  ): Promise<AppendOutcome[]> {
    return this.connection.readWrite("append", options, async (transaction) => {
      const write = async (): Promise<Writes<AppendOutcome[]>> => {
        const stored = await this.#stored(transaction, entries);
        const missing = entries.filter((entry) => !stored.has(entry.key));
        return {
          mutations: this.#writes(missing),
          result: (timestamp) =>
            entries.map((entry) => outcome(entry, stored.get(entry.key), timestamp)),
        };
      };
      return fence === null ? write() : fencedWrites(transaction, this.lockTable, fence, write);
    });
  }

  /** What is stored under the ids of the appended entries, by key: a batch has one entry of each. */
  async #stored(
    transaction: Transaction,
    entries: readonly NewEntry[],
  ): Promise<Map<string, Stored>> {
    const keys = entries
      .filter(({ id }) => id !== NO_APPEND_ID)
      .map((entry) => keyOf(entry.key, entry.id));
    const rows = await transaction.readLarge(this.logTable, { keys }, [
      "key",
      "value",
      "timestamp",
    ]);
    return new Map(
      rows.map(([key, value, timestamp]) => [
        textOf(key) ?? "",
        { value: textOf(value), timestamp: microsOf(timestamp) },
      ]),
    );
  }

  /** As few mutations as can be: each names its columns once, for all of its rows. */
  #writes(entries: readonly NewEntry[]): Mutation[] {
    const versions = entries.filter(({ id }) => id !== NO_APPEND_ID);
    const replaced = entries.filter(({ id }) => id === NO_APPEND_ID);
    const mutations: Mutation[] = [];
    if (versions.length > 0) mutations.push({ insert: this.#rows(versions) });
    if (replaced.length > 0) mutations.push({ insertOrUpdate: this.#rows(replaced) });
    return mutations;
  }

  #rows(entries: readonly NewEntry[]): MutationWrite {
    const values = entries.map(({ key, id, value, leader }) => ({
      values: [text(key), text(id), text(value), text(leader), COMMIT_TIMESTAMP],
    }));
    return { table: this.logTable, columns: COLUMNS, values };
  }
}

interface Stored {
  readonly value: string | null;
  readonly timestamp: number | null;
}

function outcome(entry: NewEntry, stored: Stored | undefined, timestamp: number): AppendOutcome {
  if (stored === undefined) return { kind: "written", timestamp };
  if (stored.value !== entry.value || stored.timestamp === null) return { kind: "conflict" };
  return { kind: "written", timestamp: stored.timestamp };
}
