import { HedgerowError } from "../../errors.ts";
import { LOCK_ROW_PREFIX, MAX_KEY_BYTES, MAX_NAME_BYTES, MAX_VALUE_BYTES } from "../limits.ts";
import { markerName } from "../markers.ts";
import { semaphoreKey } from "../semaphore-rows.ts";
import { RESERVED_WORDS } from "./reserved-words.ts";

export interface TableNames {
  readonly lockTable: string;
  /** Empty: no log. */
  readonly logTable: string;
}

export interface Column {
  readonly name: string;
  readonly type: "STRING(MAX)" | "TIMESTAMP";
  /** As it is created. */
  readonly notNull: boolean;
  /** Whether rows without a value are written. */
  readonly takesNull: boolean;
  /** Characters that a text must have room for; 0 for what is no text. */
  readonly leastLength: number;
}

/** Of a marker, which has the longest number, of the lock that has the longest name. */
const MAX_ROW_NAME = markerName(LOCK_ROW_PREFIX, null).length + MAX_NAME_BYTES;
const MAX_SEMAPHORE_KEY = semaphoreKey("").length + MAX_NAME_BYTES;

export interface Table {
  readonly name: string;
  /** The flag that names it. */
  readonly flag: string;
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[];
}

const text = (name: string, leastLength: number, takesNull: boolean, notNull = false): Column => ({
  name,
  type: "STRING(MAX)",
  notNull,
  takesNull,
  leastLength,
});
const time = (name: string, takesNull: boolean): Column => ({
  name,
  type: "TIMESTAMP",
  notNull: false,
  takesNull,
  leastLength: 0,
});

/** The tables of hedge and spindle, column by column. Markers of take-overs have only a name. */
export function tablesOf({ lockTable, logTable }: TableNames): Table[] {
  const lock: Table = {
    name: lockTable,
    flag: "--lock-table",
    columns: [
      text("name", MAX_ROW_NAME, false, true),
      time("heartbeat", true),
      time("token", true),
      text("writer", MAX_NAME_BYTES, true),
    ],
    primaryKey: ["name"],
  };
  const log: Table = {
    name: logTable,
    flag: "--log-table",
    columns: [
      text("id", MAX_SEMAPHORE_KEY, false),
      text("key", MAX_KEY_BYTES, false),
      text("value", MAX_VALUE_BYTES, false),
      text("leader", MAX_NAME_BYTES, false),
      time("timestamp", false),
    ],
    primaryKey: ["key", "id"],
  };
  return logTable === "" ? [lock] : [lock, log];
}

/** All DDL, in the order in which it is to run. The names must have passed `checkTableNames`. */
export function ddlStatements(names: TableNames): string[] {
  const index = names.logTable === "" ? [] : [createTimeIndex(names.logTable)];
  return [...tablesOf(names).map(createTable), ...index];
}

export function createTable({ name, columns, primaryKey }: Table): string {
  const lines = columns.map((column) => `  ${columnDefinition(column)}`);
  return `CREATE TABLE ${name} (\n${lines.join(",\n")}\n) PRIMARY KEY (${primaryKey.join(", ")})`;
}

export function addColumn(table: string, column: Column): string {
  return `ALTER TABLE ${table} ADD COLUMN ${columnDefinition(column)}`;
}

/** Makes room for any text, or lets a column be empty: it gets the type that it was to be made with. */
export function retype(table: string, column: string, type: string, takesNull: boolean): string {
  return `ALTER TABLE ${table} ALTER COLUMN ${column} ${type}${takesNull ? "" : " NOT NULL"}`;
}

export function allowCommitTimestamp(table: string, column: string): string {
  return `ALTER TABLE ${table} ALTER COLUMN ${column} SET OPTIONS (allow_commit_timestamp=true)`;
}

/** Serves the newest versions of a key without reading the others. Nothing requires it. */
export function createTimeIndex(logTable: string): string {
  return `CREATE INDEX ${timeIndex(logTable)} ON ${logTable} (key, timestamp DESC)`;
}

export function timeIndex(logTable: string): string {
  return `${logTable}_by_time`;
}

function columnDefinition({ name, type, notNull }: Column): string {
  if (type === "TIMESTAMP") return `${name} ${type} OPTIONS (allow_commit_timestamp=true)`;
  return `${name} ${type}${notNull ? " NOT NULL" : ""}`;
}

/** Spanner's limit for the name of a table, and of an index. */
const MAX_NAME_LENGTH = 128;

/** Throws `invalid_argument` unless the names are fit to stand in Spanner's SQL text and differ. */
export function checkTableNames({ lockTable, logTable }: TableNames): void {
  checkTableName("--lock-table", lockTable, MAX_NAME_LENGTH);
  if (logTable === "") return;
  checkTableName("--log-table", logTable, MAX_NAME_LENGTH - timeIndex("").length);
  // Tables and indexes share their names, and small letters are as good as capital ones.
  if ([logTable, timeIndex(logTable)].some((name) => same(name, lockTable))) {
    throw new HedgerowError(
      "invalid_argument",
      `--lock-table ${lockTable} is also a name that --log-table ${logTable} takes: give another`,
    );
  }
}

function checkTableName(flag: string, name: string, maxLength: number): void {
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || name.length > maxLength) {
    throw new HedgerowError(
      "invalid_argument",
      `${flag} ${JSON.stringify(name)}: Spanner takes 1 to ${maxLength} letters, digits and _, the first a letter`,
    );
  }
  if (RESERVED_WORDS.has(name.toUpperCase())) {
    throw new HedgerowError(
      "invalid_argument",
      `${flag} ${name} is a word of Spanner's SQL: choose another name`,
    );
  }
}

/** As Spanner compares the names of tables and columns. */
export function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}
