import { expect, test } from "bun:test";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";
import { checkTableNames, ddlStatements } from "../../src/store/spanner/ddl.ts";
import { applyCommand } from "../../src/store/spanner/inspect.ts";
import { RESERVED_WORDS } from "../../src/store/spanner/reserved-words.ts";

test("the tables are those of the Go system, and an index", () => {
  expect(ddlStatements({ lockTable: "locktable", logTable: "logtable" })).toEqual([
    `CREATE TABLE locktable (
  name STRING(MAX) NOT NULL,
  heartbeat TIMESTAMP OPTIONS (allow_commit_timestamp=true),
  token TIMESTAMP OPTIONS (allow_commit_timestamp=true),
  writer STRING(MAX)
) PRIMARY KEY (name)`,
    `CREATE TABLE logtable (
  id STRING(MAX),
  key STRING(MAX),
  value STRING(MAX),
  leader STRING(MAX),
  timestamp TIMESTAMP OPTIONS (allow_commit_timestamp=true)
) PRIMARY KEY (key, id)`,
    "CREATE INDEX logtable_by_time ON logtable (key, timestamp DESC)",
  ]);
});

test("without a log there is the lock's table alone", () => {
  const statements = ddlStatements({ lockTable: "mylock", logTable: "" });
  expect(statements).toHaveLength(1);
  expect(statements[0]).toStartWith("CREATE TABLE mylock (");
});

test("names that Spanner takes pass", () => {
  for (const lockTable of ["a", "LockTable", "lock_table_2", "l".repeat(128), "key", "timestamp"]) {
    checkTableNames({ lockTable, logTable: "t".repeat(120) });
  }
  checkTableNames({ lockTable: "a", logTable: "" });
});

test.each([
  [{ lockTable: "" }, /^--lock-table "": Spanner takes 1 to 128 letters, digits and _/],
  [{ lockTable: "_lock" }, /^--lock-table "_lock": .* the first a letter$/],
  [{ lockTable: "1lock" }, /^--lock-table/],
  [{ lockTable: "a b" }, /^--lock-table/],
  [{ lockTable: "a`; DROP TABLE x" }, /^--lock-table/],
  [{ lockTable: "läck" }, /^--lock-table/],
  [{ lockTable: "a\n" }, /^--lock-table/],
  [{ lockTable: "l".repeat(129) }, /^--lock-table/],
  [
    { lockTable: "Select" },
    /^--lock-table Select is a word of Spanner's SQL: choose another name$/,
  ],
  [{ logTable: "group" }, /^--log-table group is a word of Spanner's SQL/],
  [{ logTable: "t".repeat(121) }, /^--log-table .* Spanner takes 1 to 120 letters/],
  [{ lockTable: "same", logTable: "SAME" }, /^--lock-table same is also a name that --log-table/],
  [{ lockTable: "log_BY_time", logTable: "log" }, /^--lock-table log_BY_time is also a name/],
])("%p is refused with the mend", (names, message) => {
  const given = { lockTable: "locktable", logTable: "logtable", ...names };
  expect(() => checkTableNames(given)).toThrow(
    expect.objectContaining({
      code: "invalid_argument",
      message: expect.stringMatching(message),
    }),
  );
});

test("the reserved words are written as they are compared", () => {
  expect(RESERVED_WORDS.size).toBe(96);
  for (const word of RESERVED_WORDS) expect(word).toMatch(/^[A-Z_]+$/);
});

test("the command that mends names the tables that are not the flags' own", () => {
  const { lockTable, logTable } = SERVE_FLAGS;
  const own = { lockTable: lockTable.fallback, logTable: logTable.fallback };
  expect(applyCommand("projects/p/instances/ii/databases/dd", own)).toBe(
    "hedgerow schema apply --store spanner:projects/p/instances/ii/databases/dd",
  );
  expect(applyCommand("x", { lockTable: "l", logTable: "t" })).toEndWith(
    " --lock-table l --log-table t",
  );
  expect(applyCommand("x", { ...own, logTable: "" })).toEndWith(' --log-table ""');
});
