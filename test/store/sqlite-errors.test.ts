import type { SQLiteError } from "bun:sqlite";
import { expect, test } from "bun:test";
import type { ErrorCode } from "../../src/errors.ts";
import { isBusy, storeError } from "../../src/store/sqlite/errors.ts";

/** Extended result codes of sqlite.org/rescode.html. */
const BUSY_RECOVERY = 261;
const IOERR_FSYNC = 1034;
const CORRUPT_VTAB = 267;
const FULL = 13;
const READONLY_DIRECTORY = 1544;
const CONSTRAINT = 19;

/** As bun:sqlite throws it: it is told by its name. */
function failure(errno: number): SQLiteError {
  return Object.assign(new Error("what SQLite said"), {
    name: "SQLiteError",
    errno,
    byteOffset: -1,
  }) as SQLiteError;
}

test("a failure before the commit has written nothing, and names its mend", () => {
  const expected: readonly (readonly [number, string])[] = [
    [IOERR_FSYNC, "check the disk"],
    [CORRUPT_VTAB, "restore it from a backup"],
    [FULL, "free some space"],
    [READONLY_DIRECTORY, "writable"],
    [CONSTRAINT, "what SQLite said"],
  ];
  for (const [errno, mend] of expected) {
    const error = storeError("x.db", failure(errno), "statement");
    expect(error.code).toBe("store_failed");
    expect(error.message).toContain(mend);
    expect(error.message).toContain("nothing was written");
  }
});

test("only an input/output error of the commit itself leaves the outcome open", () => {
  const codes: [number, ErrorCode][] = [
    [IOERR_FSYNC, "outcome_unknown"],
    [FULL, "store_failed"],
  ];
  for (const [errno, code] of codes) {
    expect(storeError("x.db", failure(errno), "commit").code).toBe(code);
  }
});

test("what may succeed later is told from what will not", () => {
  expect(isBusy(failure(BUSY_RECOVERY))).toBe(true);
  expect(isBusy(failure(FULL))).toBe(false);
  expect(isBusy(new Error("database is locked"))).toBe(false);
});
