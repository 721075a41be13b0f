import { expect, test } from "bun:test";
import type { FoundColumn } from "../../src/store/spanner/compare.ts";
import {
  compareTimeIndex,
  type FoundIndex,
  takenName,
} from "../../src/store/spanner/time-index.ts";

const AS_WANTED: FoundIndex = {
  name: "Logtable_By_Time",
  table: "LogTable",
  columns: ["Key ASC", "timestamp DESC"],
  nullFiltered: false,
};

test("one that is as wanted is there, however it is spelled", () => {
  expect(compareTimeIndex("logtable", [AS_WANTED], [])).toEqual({ missing: null, problems: [] });
});

test("none is missing, under the name that the table has", () => {
  const [column] = [{ table: "LogTable" } as FoundColumn];
  expect(compareTimeIndex("logtable", [], [column as FoundColumn])).toEqual({
    missing: {
      what: "index LogTable_by_time",
      statement: "CREATE INDEX LogTable_by_time ON LogTable (key, timestamp DESC)",
    },
    problems: [],
  });
});

test.each([
  [
    { columns: ["key ASC", "timestamp ASC"] },
    "is an index on (key ASC, timestamp ASC) of LogTable",
  ],
  [{ columns: ["key ASC"] }, "is an index on (key ASC) of LogTable"],
  [{ table: "others" }, "of others instead of"],
  [{ nullFiltered: true }, "of LogTable, without rows that have none instead of"],
])("another one of its name is told, with its mend: %p", (change, says) => {
  const { missing, problems } = compareTimeIndex("logtable", [{ ...AS_WANTED, ...change }], []);
  expect(missing).toBeNull();
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(says);
  expect(problems[0]).toEndWith(
    ": run DROP INDEX Logtable_By_Time if nobody needs it, or name another table with --log-table",
  );
});

test("a table of its name is told", () => {
  const column = { table: "logtable_by_time" } as FoundColumn;
  expect(compareTimeIndex("logtable", [], [column]).problems).toEqual([
    "logtable_by_time is a table instead of an index on (key, timestamp DESC) of logtable: run DROP TABLE logtable_by_time if nobody needs it, or name another table with --log-table",
  ]);
});

test("an index that has a table's name is told", () => {
  const index = { ...AS_WANTED, name: "LockTable", table: "others" };
  expect(takenName("locktable", "--lock-table", [AS_WANTED, index])).toEqual([
    "LockTable is an index of others, and no table can have its name: name another table with --lock-table",
  ]);
});
