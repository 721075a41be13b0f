import type { Statement } from "bun:sqlite";
import { NO_APPEND_ID, type NewEntry } from "../ports.ts";
import type { Connection } from "./connection.ts";

/** Writes rows of the log table, inside of the caller's transaction. */
export class LogRows {
  readonly #last: Statement<{ last: number | null }, []>;
  readonly #put: Statement<unknown, [number, string, string, string, string]>;

  constructor(
    private readonly connection: Connection,
    logTable: string,
  ) {
    this.#last = connection.prepare(`SELECT max(timestamp) AS last FROM "${logTable}"`);
    // Only a `-` row gives way to its successor, which moves to the end of the table.
    this.#put = connection.prepare(
      `INSERT INTO "${logTable}" (timestamp, key, id, value, leader) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (id, key) DO UPDATE SET timestamp = excluded.timestamp, value = excluded.value,
         leader = excluded.leader WHERE excluded.id = '${NO_APPEND_ID}'`,
    );
  }

  /** The wall clock in microseconds, or what comes after the newest row if that is later. */
  nextTimestamp(): number {
    const last = this.#last.get()?.last ?? 0;
    return Math.max(this.connection.runtime.clock.wallMicros(), last + 1);
  }

  /** Whether the row was written; false if another of its key and id is there. */
  put(timestamp: number, { key, id, value, leader }: NewEntry): boolean {
    return this.#put.run(timestamp, key, id, value, leader).changes === 1;
  }
}
