import { SQLiteError } from "bun:sqlite";
import { HedgerowError, messageOf } from "../../errors.ts";

/** Where in a call SQLite failed: only at the commit itself may a failure leave the outcome open. */
export type Phase = "statement" | "commit";

// Primary result codes of sqlite.org/rescode.html; the extended ones carry them in their low byte.
const BUSY = 5;
const LOCKED = 6;
const NOMEM = 7;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const PROTOCOL = 15;
const NOTADB = 26;

const MENDS: Readonly<Record<number, string>> = {
  [NOMEM]: "out of memory: give the process more",
  [READONLY]: "cannot be written: make the file and its directory writable for this user",
  [IOERR]: "input/output error: check the disk and its file system",
  [CORRUPT]: "is damaged: restore it from a backup, or move it away to begin anew",
  [FULL]: "the disk is full: free some space",
  [CANTOPEN]: "cannot be opened: check the path and the permissions of the file and its directory",
  [NOTADB]: "is not a SQLite database: name another file",
};

/** Another connection is in the way: the same again later may succeed. */
export function isBusy(error: unknown): boolean {
  if (!(error instanceof SQLiteError)) return false;
  const primary = error.errno & 0xff;
  return primary === BUSY || primary === LOCKED || primary === PROTOCOL;
}

/** The only place where SQLite's errors become ours. */
export function storeError(path: string, error: unknown, phase: Phase): HedgerowError {
  if (!(error instanceof SQLiteError)) return HedgerowError.from(error);
  const primary = error.errno & 0xff;
  const mend = MENDS[primary] ?? messageOf(error);
  // The frames of a commit may have reached the disk although syncing them failed.
  if (phase === "commit" && primary === IOERR) {
    return new HedgerowError(
      "outcome_unknown",
      `SQLite file ${path}: ${mend}; the write may or may not be there`,
      { cause: error },
    );
  }
  return new HedgerowError("store_failed", `SQLite file ${path}: ${mend}; nothing was written`, {
    cause: error,
  });
}
