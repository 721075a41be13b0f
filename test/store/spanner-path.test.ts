import { describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { openStore, parseStore, storeProblem } from "../../src/store/open.ts";
import { parsePath, pathProblem } from "../../src/store/spanner/path.ts";

test("a path names project, instance and database", () => {
  const name = "projects/my-project-1/instances/main-1/databases/my_db-2";
  expect(parsePath(name)).toEqual({
    name,
    project: "my-project-1",
    instance: "main-1",
    database: "my_db-2",
  });
  for (const fine of [
    "projects/example.com:legacy/instances/ab/databases/ab",
    "projects/P/instances/a0/databases/d0",
    `projects/p/instances/${"i".repeat(64)}/databases/${"d".repeat(30)}`,
  ]) {
    expect(pathProblem(fine)).toBeNull();
  }
});

test.each([
  ["", "give spanner:projects/P/instances/I/databases/D"],
  ["projects/p/instances/ii", "give spanner:projects/P/instances/I/databases/D"],
  ["projects/p/instances/ii/databases/dd/", "give spanner:projects/P/instances/I/databases/D"],
  ["/projects/p/instances/ii/databases/dd", "give spanner:projects/P/instances/I/databases/D"],
  ["projects/p/instances/ii/databases/dd\n", /^database "dd\\n": /],
  ["projects//instances/ii/databases/dd", 'project "": give the project\'s id, as in my-project-1'],
  ["projects/p q/instances/ii/databases/dd", /^project "p q": /],
  ["projects/p/instances/i/databases/dd", /^instance "i": use 2 to 64 lower-case letters, /],
  ["projects/p/instances/I1/databases/dd", /^instance "I1": /],
  ["projects/p/instances/1i/databases/dd", /^instance "1i": /],
  ["projects/p/instances/i-/databases/dd", /^instance "i-": /],
  [`projects/p/instances/${"i".repeat(65)}/databases/dd`, /^instance /],
  ["projects/p/instances/ii/databases/d", /^database "d": use 2 to 30 lower-case letters, /],
  ["projects/p/instances/ii/databases/d_", /^database "d_": /],
  ["projects/p/instances/ii/databases/D1", /^database "D1": /],
  [`projects/p/instances/ii/databases/${"d".repeat(31)}`, /^database /],
])("%p is refused with the mend", (path, problem) => {
  const found = pathProblem(path);
  if (typeof problem === "string") expect(found).toBe(problem);
  else expect(found).toMatch(problem);
  expect(() => parsePath(path)).toThrow(HedgerowError);
});

describe("--store", () => {
  test("names a kind and a place", () => {
    expect(parseStore("sqlite:./x.db")).toEqual({ kind: "sqlite", path: "./x.db" });
    const path = "projects/p/instances/ii/databases/dd";
    expect(parseStore(`spanner:${path}`)).toEqual({ kind: "spanner", path });
  });

  test.each(["", "sqlite:", "mysql:x", "x.db", "Spanner:x", "spanner"])(
    "%p is refused with both forms",
    async (spec) => {
      const forms = "give sqlite:PATH, spanner:projects/P/instances/I/databases/D or none";
      expect(storeProblem(spec)).toBe(forms);
      const tables = { lockTable: "l", logTable: "" };
      const opening = openStore(spec, { ...tables, runtime: systemRuntime() });
      await expect(opening).rejects.toMatchObject({ code: "invalid_argument" });
    },
  );
});
