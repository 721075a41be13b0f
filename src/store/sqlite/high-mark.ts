import type { Statement } from "bun:sqlite";
import type { Connection } from "./connection.ts";
import { META_TABLE } from "./schema.ts";

/** A number that outlives the rows that it came from, so that what follows them is greater. */
export class HighMark {
  readonly #read: Statement<{ value: number }, [string]>;
  readonly #write: Statement<unknown, [string, number]>;

  constructor(
    connection: Connection,
    private readonly name: "last_timestamp",
  ) {
    this.#read = connection.prepare(`SELECT value FROM ${META_TABLE} WHERE name = ?`);
    this.#write = connection.prepare(
      `INSERT INTO ${META_TABLE} (name, value) VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)`,
    );
  }

  read(): number {
    return this.#read.get(this.name)?.value ?? 0;
  }

  raise(value: number): void {
    this.#write.run(this.name, value);
  }
}
