import { systemRuntime } from "../../src/runtime/system.ts";
import { openSpanner } from "../../src/store/spanner/open.ts";
import { freshDatabase } from "../spanner/database.ts";
import { Sql } from "../spanner/sql.ts";
import type { World } from "./world.ts";

export interface SpannerWorld extends World {
  /** `projects/P/instances/I/databases/D` */
  readonly path: string;
  readonly emulatorHost: string;
  /** SQL behind the store's back. */
  readonly sql: Sql;
}

/** A world of its own database in the shared emulator. Its time is the real one. */
export async function spannerWorld(): Promise<SpannerWorld> {
  const database = await freshDatabase();
  const { path, host: emulatorHost } = database;
  const sql = new Sql(emulatorHost, path);
  const runtime = systemRuntime();
  return {
    path,
    emulatorHost,
    sql,
    connect: ({ log }) =>
      openSpanner({
        path,
        lockTable: "locktable",
        logTable: log ? "logtable" : "",
        runtime,
        emulatorHost,
      }),
    // The emulator counts the time of this machine.
    passMs: (ms) => Bun.sleep(ms),
    deleteLockRow: async (name) => {
      await sql.execute("DELETE FROM locktable WHERE name = @name", { name });
    },
    [Symbol.asyncDispose]: async () => {
      await sql[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    },
  };
}
