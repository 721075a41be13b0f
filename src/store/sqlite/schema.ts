import type { Database } from "bun:sqlite";
import { HedgerowError } from "../../errors.ts";

/** In the header of every file of Hedgerow's: "HDGR". */
const APPLICATION_ID = 0x48444752;
/** Grows when an older Hedgerow could no longer work with the tables. */
const SCHEMA_VERSION = 1;

/** Holds what outlives the rows of the other tables. */
export const META_TABLE = "hedgerow_meta";

export interface TableNames {
  readonly lockTable: string;
  /** Empty: no log. */
  readonly logTable: string;
}

/** Throws `invalid_argument` unless the names are fit to stand in SQL text and differ. */
export function checkTableNames({ lockTable, logTable }: TableNames): void {
  checkTableName("--lock-table", lockTable);
  if (logTable === "") return;
  checkTableName("--log-table", logTable);
  if (lockTable.toLowerCase() === logTable.toLowerCase()) {
    throw new HedgerowError(
      "invalid_argument",
      `--lock-table and --log-table are both ${lockTable}: give two different names`,
    );
  }
}

function checkTableName(flag: string, name: string): void {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    throw new HedgerowError(
      "invalid_argument",
      `${flag} ${JSON.stringify(name)}: use 1 to 128 letters, digits and _, the first no digit`,
    );
  }
  const lower = name.toLowerCase();
  if (lower.startsWith("sqlite_") || lower === META_TABLE) {
    throw new HedgerowError("invalid_argument", `${flag} ${name} is reserved: choose another name`);
  }
}

/** Throws `store_failed` unless the file is empty or of this version of Hedgerow. */
export function checkOwner(database: Database, path: string): void {
  const id = pragma(database, "application_id");
  const version = pragma(database, "user_version");
  if (id === APPLICATION_ID && version <= SCHEMA_VERSION) return;
  if (id === APPLICATION_ID) {
    throw new HedgerowError(
      "store_failed",
      `SQLite file ${path} is of a newer Hedgerow (schema ${version}, this one knows ${SCHEMA_VERSION}): upgrade this node`,
    );
  }
  const { tables } = database.query("SELECT count(*) AS tables FROM sqlite_schema").get() as {
    tables: number;
  };
  if (id !== 0 || tables > 0) {
    throw new HedgerowError(
      "store_failed",
      `SQLite file ${path} belongs to another program: give Hedgerow a file of its own`,
    );
  }
}

/** Creates what is missing. SCHEMA.md tells why the tables are as they are. */
export function createTables(database: Database, { lockTable, logTable }: TableNames): void {
  database.run(`CREATE TABLE IF NOT EXISTS ${META_TABLE} (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID`);
  database.run(`CREATE TABLE IF NOT EXISTS "${lockTable}" (
    name TEXT PRIMARY KEY, heartbeat INTEGER, boot TEXT, token INTEGER, writer TEXT,
    lease INTEGER) STRICT, WITHOUT ROWID`);
  if (logTable !== "") {
    database.run(`CREATE TABLE IF NOT EXISTS "${logTable}" (
      timestamp INTEGER PRIMARY KEY, key TEXT NOT NULL, id TEXT NOT NULL,
      value TEXT NOT NULL, leader TEXT NOT NULL) STRICT`);
    database.run(
      `CREATE UNIQUE INDEX IF NOT EXISTS "${logTable}_by_id" ON "${logTable}" (id, key)`,
    );
    database.run(`CREATE INDEX IF NOT EXISTS "${logTable}_by_key" ON "${logTable}" (key)`);
  }
  database.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
}

function pragma(database: Database, name: string): number {
  const row = database.query(`PRAGMA ${name}`).get() as Record<string, number>;
  return row[name] as number;
}
