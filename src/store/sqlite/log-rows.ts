import type { Statement } from "bun:sqlite";
import { LAST_MICROS, rising } from "../judge.ts";
import { NO_APPEND_ID, type NewEntry } from "../ports.ts";
import type { Connection } from "./connection.ts";
import { HighMark } from "./high-mark.ts";

/** Rows at other times are no versions: no store has made them, and none could follow them. */
export const AT_A_TIME = `timestamp BETWEEN 1 AND ${LAST_MICROS}`;

/** Writes rows of the log table, inside of the caller's transaction. */
export class LogRows {
  readonly #newest: Statement<{ timestamp: number | null }, []>;
  readonly #put: Statement<unknown, [number, string, string, string, string]>;
  readonly #delete: Statement<unknown, [string, string]>;
  readonly #bound: Statement<{ timestamp: number }, [string, number]>;
  readonly #trim: Statement<unknown, [string, number, number]>;
  /** The newest timestamp when a row was last deleted: it may have been that row's. */
  readonly #lastTimestamp: HighMark;

  constructor(
    private readonly connection: Connection,
    logTable: string,
  ) {
    this.#newest = connection.prepare(
      `SELECT max(timestamp) AS timestamp FROM "${logTable}" WHERE ${AT_A_TIME}`,
    );
    // Only a `-` row gives way to its successor, which moves to the end of the table.
    this.#put = connection.prepare(
      `INSERT INTO "${logTable}" (timestamp, key, id, value, leader) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id, key) DO UPDATE SET timestamp = excluded.timestamp, value = excluded.value,
         leader = excluded.leader WHERE excluded.id = '${NO_APPEND_ID}'`,
    );
    this.#delete = connection.prepare(`DELETE FROM "${logTable}" WHERE id = ? AND key = ?`);
    this.#bound = connection.prepare(
      `SELECT timestamp FROM "${logTable}" WHERE key = ? AND ${AT_A_TIME}
         ORDER BY timestamp DESC LIMIT 1 OFFSET ?`,
    );
    this.#trim = connection.prepare(
      `DELETE FROM "${logTable}" WHERE timestamp IN (SELECT timestamp FROM "${logTable}"
         WHERE key = ? AND timestamp < ? AND id <> '${NO_APPEND_ID}' ORDER BY timestamp LIMIT ?)`,
    );
    this.#lastTimestamp = new HighMark(connection, "last_timestamp");
  }

  /** The wall clock in microseconds, or what comes after the last timestamp if that is later. */
  nextTimestamp(): number {
    const last = Math.max(this.#newestTimestamp(), this.#lastTimestamp.read());
    return rising(this.connection.runtime.clock.wallMicros(), last);
  }

  /** Whether the row was written; false if another of its key and id is there. */
  put(timestamp: number, { key, id, value, leader }: NewEntry): boolean {
    return this.#put.run(timestamp, key, id, value, leader).changes === 1;
  }

  /** Whether there was such a row. */
  delete(key: string, id: string): boolean {
    const newest = this.#newestTimestamp();
    if (this.#delete.run(id, key).changes === 0) return false;
    this.#lastTimestamp.raise(newest);
    return true;
  }

  /**
   * Removes a key's oldest versions before a time, except for the newest `keep` and the `-` row. As the
   * newest of the key stays, so does the newest of the table.
   */
  trim(key: string, before: number, keep: number, limit: number): number {
    const bound = this.#bound.get(key, keep - 1)?.timestamp ?? 0;
    return this.#trim.run(key, Math.min(bound, before), limit).changes;
  }

  #newestTimestamp(): number {
    return this.#newest.get()?.timestamp ?? 0;
  }
}
