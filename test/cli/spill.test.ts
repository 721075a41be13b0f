import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Spill } from "../../src/spill/spill.ts";
import { spillOf } from "../spill/kit.ts";
import { cli } from "./cli-kit.ts";
import { withServer } from "./server-kit.ts";

let spill: Spill;
beforeEach(() => {
  spill = spillOf();
});
afterEach(() => spill.stop());

/** A `hedgerow spill` at a node with real stores and nothing else. */
function run(argv: readonly string[], stdin = "") {
  const node = {
    spill: spill.store.bind(spill),
    findSpill: spill.find.bind(spill),
    spillStores: spill.all.bind(spill),
  };
  return withServer(node, (url) =>
    cli(["spill", ...argv, "--server", url], {}, new TextEncoder().encode(stdin)),
  );
}

test("write says whether the store is new, and stats what it holds, of one or of all", async () => {
  const first = await run(["write", "a", "--memory", "1MB", "--expiry", "10m"], "one\ntwo\n");
  expect(first.stdout).toStartWith("2 records written to new store a, which holds 2:\n");
  const more = await run(["write", "a", "--json"], "three\n");
  expect(JSON.parse(more.stdout)).toMatchObject({
    written: 1,
    created: false,
    records: 3,
    bytes: 11,
  });
  expect(JSON.parse((await run(["write", "b", "--json"])).stdout)).toMatchObject({
    written: 0,
    created: true,
    records: 0,
  });
  const one = JSON.parse((await run(["stats", "a", "--json"])).stdout);
  const nothing = { records: 0, bytes: 0 };
  expect(one).toEqual({
    name: "a",
    records: 3,
    bytes: 11,
    tiers: {
      localMemory: { records: 3, bytes: 11 },
      localDisk: nothing,
      remoteMemory: nothing,
      remoteDisk: nothing,
    },
    limits: { memoryBytes: 1_000_000, diskBytes: 64 << 20, expiryMs: 600_000 },
    references: 0,
    lost: 0,
    outOfReach: 0,
  });
  const all = JSON.parse((await run(["stats", "--json"])).stdout);
  expect(all).toEqual([one, expect.objectContaining({ name: "b", records: 0 })]);
  expect((await run(["stats", "a"])).stdout).toContain("local memory   3        11\n");
  const { stdout } = await run(["stats"]);
  expect(stdout.split("\n").map((line) => line.split(/ +/)[0])).toEqual(["NAME", "a", "b", ""]);
});

test("stats of a node without stores is a remark, of an unknown store an error", async () => {
  expect(await run(["stats"])).toEqual({
    code: 0,
    stdout: "",
    stderr: "no spill stores on this node\n",
  });
  expect((await run(["stats", "--json"])).stdout).toBe("[]\n");
  const unknown = await run(["stats", "a"]);
  expect(unknown.code).toBe(1);
  expect(unknown.stderr).toContain("no spill store a on this node");
});

test.each([
  ["--memory", "2MB", "--memory 1000000"],
  ["--disk", "2MB", "--disk 67108864"],
  ["--expiry", "5s", "--expiry 10m"],
])(
  "%s %s of a store that has another one is refused in words of the command line",
  async (flag, given, has) => {
    await run(["write", "a", "--memory", "1MB", "--expiry", "10m"]);
    const refused = await run(["write", "a", flag, given], "one\n");
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      `spill store a lives with ${has}: leave ${flag} out, or free the store with "hedgerow spill close a"`,
    );
    expect(spill.find("a").count).toBe(0);
  },
);

test("read says so where there is nothing to print", async () => {
  await run(["write", "a"], "one\ntwo\n");
  expect(await run(["read", "a", "--from", "1"])).toEqual({ code: 0, stdout: "two\n", stderr: "" });
  expect(await run(["read", "a", "--from", "2"])).toEqual({
    code: 0,
    stdout: "",
    stderr: "a holds 2 records: none from 2 on, they are counted from 0\n",
  });
  await run(["write", "b"]);
  expect((await run(["read", "b"])).stderr).toBe("b holds 0 records\n");
});

test("read --json has a line a record, with its index, also where it is no line", async () => {
  await using writer = spill.store("a").writer();
  await writer.appendAll(["one", "two\nlines", new Uint8Array([255])]);
  const read = await run(["read", "a", "--from", "1", "--json"]);
  expect(
    read.stdout
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { index: 1, record: "two\nlines" },
    { index: 2, recordBase64: "/w==" },
  ]);
});

test("a store that was closed says so when it is asked for", async () => {
  await run(["write", "a"], "one\n");
  expect((await run(["close", "a"])).code).toBe(0);
  expect((await run(["read", "a"])).stderr).toContain(
    "no spill store a on this node: it was closed 0 s ago",
  );
});
