import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { type Changes, converge, type Found } from "../../src/store/spanner/converge.ts";
import type { Inspection } from "../../src/store/spanner/inspect.ts";
import { parsePath } from "../../src/store/spanner/path.ts";

const DATABASE = parsePath("projects/my-project/instances/main/databases/app");
const REFUSED = new HedgerowError("store_failed", "refused");

const lacking = (...tables: string[]): Inspection => ({
  problems: [],
  missing: tables.map((name) => ({ what: `table ${name}`, statement: `CREATE ${name}` })),
  missingIndex: null,
});

/** Runs on what each look finds, the last one for ever; gives what was changed too. */
async function run(looks: readonly Found[], replaced: Partial<Changes> = {}) {
  const changed: string[] = [];
  let at = 0;
  const changes: Changes = {
    createInstance: async () => changed.push("instance") > 0,
    createDatabase: async () => changed.push("database") > 0,
    updateDdl: async (statements) => void changed.push(...statements),
    ...replaced,
  };
  const look = async () => looks[Math.min(at++, looks.length - 1)] as Found;
  const added = await converge(DATABASE, look, changes);
  return { added, changed };
}

test("from nothing: instance, database, tables", async () => {
  expect(await run(["no instance", "no database", lacking("a", "b")])).toEqual({
    added: ["instance main", "database app", "table a", "table b"],
    changed: ["instance", "database", "CREATE a", "CREATE b"],
  });
});

test("nothing missing, nothing changed", async () => {
  expect(await run([lacking()])).toEqual({ added: [], changed: [] });
});

test("the index is added last, and alone if it alone is missing", async () => {
  const missingIndex = { what: "index x", statement: "CREATE x" };
  const { added } = await run([{ ...lacking("a"), missingIndex }]);
  expect(added).toEqual(["table a", "index x"]);
  expect((await run([{ ...lacking(), missingIndex }])).changed).toEqual(["CREATE x"]);
});

test("an instance costs money: the command is told, nothing is created", async () => {
  await expect(run(["no instance"], { createInstance: null })).rejects.toThrow(
    "there is no such instance, and one costs money: gcloud spanner instances create main --project=my-project --config=regional-us-central1 --description=main --processing-units=100",
  );
});

test("a problem stops before anything is changed", async () => {
  const looks = [{ ...lacking("a"), problems: ["one", "two"] }];
  await expect(
    run(looks, { updateDdl: () => Promise.reject(new Error("it was run")) }),
  ).rejects.toMatchObject({ code: "store_failed", message: `spanner:${DATABASE.name}: one; two` });
});

test("what somebody else has just made is not claimed", async () => {
  const faster = { createDatabase: async () => false, updateDdl: () => Promise.reject(REFUSED) };
  const { added } = await run(["no database", lacking("a", "b"), lacking()], faster);
  expect(added).toEqual([]);
});

test("half of it by somebody else: the rest is ours", async () => {
  let calls = 0;
  const updateDdl = async () => {
    if (calls++ === 0) throw REFUSED;
  };
  const { added } = await run([lacking("a", "b"), lacking("b")], { updateDdl });
  expect(added).toEqual(["table b"]);
});

test("statements that cannot be run end with their own error", async () => {
  const updateDdl = () => Promise.reject(REFUSED);
  await expect(run([lacking("a")], { updateDdl })).rejects.toBe(REFUSED);
});

test("it does not go on for ever", async () => {
  await expect(run(["no database"])).rejects.toMatchObject({ code: "unavailable" });
});
