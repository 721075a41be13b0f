import { Database } from "bun:sqlite";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { storeError } from "./errors.ts";
import { checkOwner, type TableNames } from "./schema.ts";

export interface Inspected {
  /** Milliseconds since the epoch at which the file was last written. */
  readonly writtenMs: number;
  /** Tables that it does not have yet. */
  readonly missing: readonly string[];
}

/** Looks at a file without changing it; null if there is none. Throws `store_failed` if it is not Hedgerow's. */
export function inspectSqlite(path: string, { lockTable, logTable }: TableNames): Inspected | null {
  const file = statSync(resolve(path), { throwIfNoEntry: false });
  if (file === undefined) return null;
  let database: Database | null = null;
  try {
    database = new Database(resolve(path), { readonly: true });
    const missing = missingTables(database, path, [lockTable, logTable]);
    return { writtenMs: file.mtimeMs, missing };
  } catch (error) {
    throw storeError(path, error, "statement");
  } finally {
    database?.close();
  }
}

function missingTables(database: Database, path: string, wanted: readonly string[]): string[] {
  return database
    .transaction(() => {
      checkOwner(database, path);
      const has = database.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?");
      return wanted.filter((table) => table !== "" && has.get(table) === null);
    })
    .deferred();
}
