import type { Statement } from "bun:sqlite";
import type { KeyHistory, StoredEntry } from "../ports.ts";
import type { Connection } from "./connection.ts";
import { AT_A_TIME } from "./log-rows.ts";

/** What is read of the log table, each with a single statement. */
export class LogReads {
  readonly #newest: Statement<StoredEntry, [string, number]>;
  readonly #oldest: Statement<StoredEntry, [string, number]>;
  readonly #after: Statement<StoredEntry, [string, number, number]>;
  readonly #keys: Statement<KeyHistory, [string, number]>;

  constructor(connection: Connection, logTable: string) {
    // The index on the key holds the timestamps (the row ids) in order: all read only what they give.
    const versions = `SELECT key, id, value, leader, timestamp FROM "${logTable}"
      WHERE key = ? AND ${AT_A_TIME}`;
    this.#newest = connection.prepare(`${versions} ORDER BY timestamp DESC LIMIT ?`);
    this.#oldest = connection.prepare(`${versions} ORDER BY timestamp LIMIT ?`);
    this.#after = connection.prepare(`${versions} AND timestamp > ? ORDER BY timestamp LIMIT ?`);
    // From key to key by the index: SELECT DISTINCT would go through all versions of each.
    const next = (key: string) => `(SELECT min(key) FROM "${logTable}" WHERE key > ${key})`;
    const edge = (of: "min" | "max") =>
      `(SELECT ${of}(timestamp) FROM "${logTable}" WHERE key = listed.key)`;
    this.#keys = connection.prepare(
      `WITH RECURSIVE listed (key) AS (
         SELECT ${next("?1")} UNION ALL
         SELECT ${next("listed.key")} FROM listed WHERE listed.key IS NOT NULL LIMIT ?2)
       SELECT key, ${edge("min")} AS oldest, ${edge("max")} AS newest FROM listed
       WHERE key IS NOT NULL`,
    );
  }

  newest(key: string, count: number): StoredEntry[] {
    return this.#newest.all(key, atMost(count));
  }

  oldest(key: string, count: number): StoredEntry[] {
    return this.#oldest.all(key, atMost(count));
  }

  after(key: string, timestamp: number, count: number): StoredEntry[] {
    return this.#after.all(key, timestamp, count);
  }

  keys(after: string, count: number): KeyHistory[] {
    return this.#keys.all(after, count);
  }
}

function atMost(count: number): number {
  return Math.min(count, Number.MAX_SAFE_INTEGER);
}
