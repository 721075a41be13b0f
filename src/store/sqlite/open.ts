import { Database } from "bun:sqlite";
import { closeSync, existsSync, openSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { HedgerowError, messageOf } from "../../errors.ts";
import { sleep } from "../../runtime/operation.ts";
import { backoffMs, type Runtime } from "../../runtime/runtime.ts";
import { DEFAULT_TIMEOUT_MS } from "../calls.ts";
import type { Store } from "../ports.ts";
import { Connection } from "./connection.ts";
import { isBusy, storeError } from "./errors.ts";
import { checkOwner, checkTableNames, createTables, type TableNames } from "./schema.ts";
import { SqliteStore } from "./store.ts";

export interface SqliteOptions extends TableNames {
  /** The file; created with mode 0600 if missing, its directory is not. */
  readonly path: string;
  readonly runtime: Runtime;
}

/** The WAL is written back once it has this many pages (of 4 KiB): seldom, because a commit waits for it. */
const CHECKPOINT_PAGES = 16_384;
const CACHE_KIB = 32_768;

/**
 * Opens the file, which any number of processes of one machine may share, and creates its tables. Throws
 * `invalid_argument` for a bad name, `store_failed` for a file that cannot be used, `unavailable` if others
 * keep it locked.
 */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  checkTableNames(options);
  if (options.path === "" || options.path.includes("\0")) {
    throw new HedgerowError("invalid_argument", "the SQLite file's name is missing: give a path");
  }
  const path = resolve(options.path);
  createFile(path);
  let database: Database | null = null;
  try {
    database = new Database(path, { readwrite: true, create: false });
    // Waiting is the event loop's business, not SQLite's.
    database.run("PRAGMA busy_timeout = 0");
    await prepareFile(database, path, options);
    return new SqliteStore(new Connection(database, path, options.runtime), options);
  } catch (error) {
    database?.close(true);
    throw storeError(path, error, "statement");
  }
}

/** SQLite gives its -wal and -shm files the mode of this one. */
function createFile(path: string): void {
  try {
    // Exclusively: closing a file that another connection of this process uses would drop that one's locks.
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    throw new HedgerowError(
      "store_failed",
      `SQLite file ${path}: ${creationFailure(path, code) ?? messageOf(error)}`,
      { cause: error },
    );
  }
}

function creationFailure(path: string, code: string | undefined): string | null {
  const directory = dirname(path);
  switch (code) {
    case "ENOENT":
      return existsSync(directory)
        ? `cannot be created in ${directory}: choose another path`
        : `the directory ${directory} does not exist: create it`;
    case "ENOTDIR":
      return `${directory} is not a directory: choose another path`;
    case "EACCES":
    case "EPERM":
      return `cannot be created: make the directory ${directory} writable for this user`;
    case "EROFS":
      return "cannot be created on a read-only file system: choose another path";
    case "ENOSPC":
      return "the disk is full: free some space";
    default:
      return null;
  }
}

/** Several processes may do this at once: each attempt is one synchronous piece, repeated while others are in the way. */
async function prepareFile(
  database: Database,
  path: string,
  { runtime, ...tables }: SqliteOptions,
): Promise<void> {
  const { clock, random } = runtime;
  const deadline = clock.now() + DEFAULT_TIMEOUT_MS;
  for (let attempt = 0; ; attempt++) {
    try {
      // In a transaction: its reads must not see another node's half of creating the tables.
      database.transaction(() => checkOwner(database, path)).deferred();
      configure(database, path);
      database
        .transaction(() => {
          checkOwner(database, path);
          createTables(database, tables);
        })
        .immediate();
      return;
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (clock.now() >= deadline) {
        throw new HedgerowError(
          "unavailable",
          `SQLite file ${path}: another process keeps it locked`,
        );
      }
      await sleep(clock, backoffMs(random, attempt, 1, 50));
    }
  }
}

function configure(database: Database, path: string): void {
  const { journal_mode } = database.query("PRAGMA journal_mode = WAL").get() as {
    journal_mode: string;
  };
  if (journal_mode !== "wal") {
    throw new HedgerowError(
      "store_failed",
      `SQLite file ${path}: its file system does not support shared memory: use a local disk`,
    );
  }
  // A commit is on the disk before anybody reads it, and before it is acknowledged.
  database.run("PRAGMA synchronous = FULL");
  database.run(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  database.run(`PRAGMA cache_size = -${CACHE_KIB}`);
}
