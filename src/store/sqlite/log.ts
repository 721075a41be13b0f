import type { Statement } from "bun:sqlite";
import type { CallOptions } from "../../runtime/runtime.ts";
import { checkAppend } from "../check.ts";
import { readRange } from "../judge.ts";
import { checkKey } from "../limits.ts";
import type { AppendOutcome, Fence, LogStore, NewEntry, ReadLimit, StoredEntry } from "../ports.ts";
import type { Connection } from "./connection.ts";
import type { FenceCheck } from "./fence.ts";
import type { LogRows } from "./log-rows.ts";

export class SqliteLogStore implements LogStore {
  readonly #find: Statement<{ timestamp: number; value: string }, [string, string]>;
  readonly #newest: Statement<StoredEntry, [string, number]>;
  readonly #oldest: Statement<StoredEntry, [string, number]>;

  constructor(
    private readonly connection: Connection,
    private readonly rows: LogRows,
    private readonly fence: FenceCheck,
    logTable: string,
  ) {
    this.#find = connection.prepare(
      `SELECT timestamp, value FROM "${logTable}" WHERE id = ? AND key = ?`,
    );
    // The index on the key holds the timestamps (the row ids) in order: both read only what they give.
    const versions = `SELECT key, id, value, leader, timestamp FROM "${logTable}" WHERE key = ?`;
    this.#newest = connection.prepare(`${versions} ORDER BY timestamp DESC LIMIT ?`);
    this.#oldest = connection.prepare(`${versions} ORDER BY timestamp LIMIT ?`);
  }

  async append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AppendOutcome[]> {
    checkAppend(entries, fence);
    return this.connection.write("append", options, () => {
      if (fence !== null) this.fence.check(fence);
      const outcomes: AppendOutcome[] = [];
      let timestamp = this.rows.nextTimestamp();
      for (const entry of entries) {
        if (this.rows.put(timestamp, entry)) {
          outcomes.push({ kind: "written", timestamp: timestamp++ });
        } else {
          outcomes.push(this.#compare(entry));
        }
      }
      return outcomes;
    });
  }

  async read(key: string, limit: ReadLimit, options: CallOptions = {}): Promise<StoredEntry[]> {
    checkKey(key);
    const { oldestFirst, count } = readRange(limit);
    const versions = oldestFirst ? this.#oldest : this.#newest;
    return this.connection.read("read", options, () =>
      versions.all(key, Math.min(count, Number.MAX_SAFE_INTEGER)),
    );
  }

  /** The outcome for an entry whose id was there before. */
  #compare({ key, id, value }: NewEntry): AppendOutcome {
    const found = this.#find.get(id, key);
    if (found?.value !== value) return { kind: "conflict" };
    return { kind: "written", timestamp: found.timestamp };
  }
}
