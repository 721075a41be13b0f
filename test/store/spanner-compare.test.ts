import { expect, test } from "bun:test";
import { compareTable, type FoundColumn } from "../../src/store/spanner/compare.ts";
import { type Table, tablesOf } from "../../src/store/spanner/ddl.ts";

const [LOCK, LOG] = tablesOf({ lockTable: "locktable", logTable: "logtable" }) as [Table, Table];

/** The columns of a table as `schema apply` makes it. */
function made(table: Table): FoundColumn[] {
  return table.columns.map(({ name, type, notNull }) => ({
    table: table.name,
    name,
    type,
    takesNull: !notNull,
    filledIn: false,
    takesCommitTimestamp: type === "TIMESTAMP",
    keyPlace: table.primaryKey.includes(name) ? table.primaryKey.indexOf(name) + 1 : null,
  }));
}

const changed = (table: Table, name: string, change: Partial<FoundColumn>) =>
  made(table).map((column) => (column.name === name ? { ...column, ...change } : column));

const FINE = { problems: [], missing: [] };

test("what was made is fine, in any order of columns", () => {
  expect(compareTable(LOCK, made(LOCK))).toEqual(FINE);
  expect(compareTable(LOG, made(LOG).reverse())).toEqual(FINE);
});

test("small and capital letters are the same", () => {
  const spelled = made(LOCK).map((column) => ({ ...column, name: column.name.toUpperCase() }));
  expect(compareTable(LOCK, spelled)).toEqual(FINE);
});

test.each([
  [LOCK, "name", 1068, " NOT NULL"],
  [LOCK, "writer", 1024, ""],
  [LOG, "key", 4096, ""],
  [LOG, "id", 1042, ""],
  [LOG, "value", 2_097_152, ""],
  [LOG, "leader", 1024, ""],
])("texts may be bounded, but not below what is written: %#", (table, name, least, end) => {
  const bounded = (length: number) =>
    compareTable(table, changed(table, name, { type: `STRING(${length})` }));
  expect(bounded(least)).toEqual(FINE);
  const { problems, missing } = bounded(least - 1);
  expect(missing).toEqual([]);
  const takesNull = made(table).find((column) => column.name === name)?.takesNull;
  expect(problems).toEqual([
    `column ${name} of ${table.name} is STRING(${least - 1}), which must be STRING(${least}) or more: run ALTER TABLE ${table.name} ALTER COLUMN ${name} STRING(MAX)${takesNull ? "" : end}, or name another table with ${table.flag}`,
  ]);
});

test("columns of others do not disturb, as long as rows can do without them", () => {
  const other = { ...made(LOCK)[3], name: "note" } as FoundColumn;
  expect(compareTable(LOCK, [...made(LOCK), other])).toEqual(FINE);
  const filled = { ...other, takesNull: false, filledIn: true };
  expect(compareTable(LOCK, [...made(LOCK), filled])).toEqual(FINE);
  expect(compareTable(LOCK, [...made(LOCK), { ...other, takesNull: false }]).problems).toEqual([
    "column note of locktable is NOT NULL, and Hedgerow does not write it: give it a default, or name another table with --lock-table",
  ]);
});

test("no table is missing as a whole", () => {
  const { problems, missing } = compareTable(LOG, []);
  expect(problems).toEqual([]);
  expect(missing.map(({ what }) => what)).toEqual(["table logtable"]);
  expect(missing[0]?.statement).toStartWith("CREATE TABLE logtable (");
});

test("a column and its option are added to the table as it is spelled", () => {
  const partial = changed(LOCK, "token", { takesCommitTimestamp: false })
    .filter(({ name }) => name !== "writer" && name !== "heartbeat")
    .map((column) => ({ ...column, table: "LockTable" }));
  expect(compareTable(LOCK, partial)).toEqual({
    problems: [],
    missing: [
      {
        what: "column heartbeat of LockTable",
        statement:
          "ALTER TABLE LockTable ADD COLUMN heartbeat TIMESTAMP OPTIONS (allow_commit_timestamp=true)",
      },
      {
        what: "allow_commit_timestamp of column token of LockTable",
        statement:
          "ALTER TABLE LockTable ALTER COLUMN token SET OPTIONS (allow_commit_timestamp=true)",
      },
      {
        what: "column writer of LockTable",
        statement: "ALTER TABLE LockTable ADD COLUMN writer STRING(MAX)",
      },
    ],
  });
});

test.each([
  ["a type", changed(LOCK, "writer", { type: "INT64" }), "column writer of locktable is INT64 "],
  ["a type", changed(LOCK, "token", { type: "STRING(MAX)" }), "instead of TIMESTAMP"],
  ["a key", changed(LOCK, "writer", { keyPlace: 2 }), "the primary key (name, writer) instead of"],
  ["a view", changed(LOCK, "name", { keyPlace: null }), "the primary key () instead of (name)"],
  ["NOT NULL", changed(LOCK, "heartbeat", { takesNull: false }), "heartbeat of locktable is NOT N"],
])("%s that is wrong is told, and nothing is added", (_, found, problem) => {
  const compared = compareTable(
    LOCK,
    found.map((column) => ({ ...column, takesCommitTimestamp: false })),
  );
  expect(compared.missing).toEqual([]);
  expect(compared.problems).toHaveLength(1);
  expect(compared.problems[0]).toContain(problem);
  expect(compared.problems[0]).toContain("name another table with --lock-table");
  expect(compared.problems[0]).not.toMatch(/: drop/);
});

test("the parts of a key have an order", () => {
  const turned = made(LOG).map((column) => ({
    ...column,
    keyPlace: column.keyPlace === null ? null : 3 - column.keyPlace,
  }));
  expect(compareTable(LOG, turned).problems[0]).toContain(
    "the primary key (id, key) instead of (key, id)",
  );
});
