import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "../../src/runtime/system.ts";
import { MemoryDatabase } from "../../src/store/memory/database.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { HandClock } from "./clock.ts";
import type { World } from "./world.ts";

/** A world whose time is in the test's hands. */
export interface HandWorld extends World {
  readonly clock: HandClock;
}

export async function memoryWorld(): Promise<HandWorld> {
  const clock = new HandClock();
  const database = new MemoryDatabase(clock);
  return {
    clock,
    connect: async (options) => database.connect(options),
    passMs: async (ms) => clock.passMs(ms),
    deleteLockRow: async (name) => database.deleteLockRow(name),
    [Symbol.asyncDispose]: async () => {},
  };
}

export interface SqliteWorld extends HandWorld {
  readonly path: string;
  /** Runs SQL behind the store's back. */
  sql(statement: string, ...parameters: (string | number | null)[]): void;
}

export async function sqliteWorld(): Promise<SqliteWorld> {
  const clock = new HandClock();
  const directory = mkdtempSync(join(tmpdir(), "hedgerow-store-"));
  const path = join(directory, "test.db");
  const sql: SqliteWorld["sql"] = (statement, ...parameters) => {
    using database = new Database(path);
    database.run(statement, parameters);
  };
  return {
    clock,
    path,
    sql,
    connect: ({ log }) =>
      openSqlite({
        path,
        lockTable: "locktable",
        logTable: log ? "logtable" : "",
        runtime: { clock, random: systemRandom() },
      }),
    passMs: async (ms) => clock.passMs(ms),
    deleteLockRow: async (name) => sql("DELETE FROM locktable WHERE name = ?", name),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  };
}
