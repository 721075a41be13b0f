import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { HedgerowClient } from "../../src/cli/client.ts";
import { explainedRead, explainWrite } from "../../src/cli/spill/explain.ts";
import { HedgerowError } from "../../src/errors.ts";
import type { Spill } from "../../src/spill/spill.ts";
import { FakeFiles, spillOf, systemError } from "../spill/kit.ts";
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

describe("records that are lost", () => {
  const lines = Array.from({ length: 3_000 }, (_, i) => `line ${i} `.padEnd(100, "."));
  const begin =
    /are lost: .*ENOMEM.*: read on from (\d+) \("hedgerow spill read a --from (\d+)"\)\n$/;

  /** A store of which so many of the segments on disk, if not all, cannot be read any more. */
  async function broken(count = Infinity) {
    await spill.stop();
    const files = new FakeFiles();
    spill = spillOf({ files });
    await run(["write", "a", "--memory", "0", "--disk", "1MiB"], lines.join("\n"));
    expect(files.files.length).toBeGreaterThan(2);
    for (const file of files.files.slice(0, count)) {
      file.map = () => {
        throw systemError("ENOMEM");
      };
    }
  }

  test("reading says how to go on behind them, as it is typed", async () => {
    await broken();
    const first = await run(["read", "a"]);
    expect([first.code, first.stdout]).toEqual([1, ""]);
    const [, behind, typed] = begin.exec(first.stderr) ?? [];
    expect(typed).toBe(behind ?? "none");
    const second = await run(["read", "a", "--from", `${behind}`]);
    expect([second.code, second.stdout]).toEqual([1, ""]);
    const [, further] = begin.exec(second.stderr) ?? [];
    expect(Number(further)).toBeGreaterThan(Number(behind));
  });

  test("--skip-lost leaves them out, says how many, and fails in the end", async () => {
    await broken(2);
    const { code, stdout, stderr } = await run(["read", "a", "--from", "10", "--skip-lost"]);
    const read = stdout.trimEnd().split("\n");
    const leftOut = lines.length - 10 - read.length;
    expect([code, stderr]).toEqual([1, `${leftOut} records are lost, and were left out\n`]);
    expect([read.length > 0, leftOut > 0, read.at(-1)]).toEqual([true, true, lines.at(-1)]);
    const numbers = read.map((line) => Number(line.split(" ")[1]));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(lines).toEqual(expect.arrayContaining(read));
  });

  test("--skip-lost of a store that lacks none does nothing else than reading", async () => {
    await run(["write", "a"], "one\ntwo\n");
    const read = await run(["read", "a", "--skip-lost"]);
    expect(read).toEqual({ code: 0, stdout: "one\ntwo\n", stderr: "" });
  });
});

describe("errors in words of the command line", () => {
  const lost = { from: 3, to: 9 };
  const message = "spill store a: records 3 to 8 are lost: why";
  const dataLost = new HedgerowError("data_lost", message, { lost });
  const stopped = new HedgerowError("stopped", "the node is stopping");
  const gone = "the node is stopping, and spill store a ends with it, its records too: ";
  const close = `${message} ("hedgerow spill close a")`;
  test.each([
    ["write", "data_lost", dataLost, close],
    ["write", "stopped", stopped, `${gone}write it anew at another node, named by --server`],
    ["read", "stopped", stopped, `${gone}there is nothing to read any more`],
    ["read", "data_lost", dataLost, `${message} ("hedgerow spill read a --from 9")`],
    [
      "read",
      "canceled",
      new HedgerowError("canceled", "SpillRead: cancelled by the caller"),
      'cancelled: "hedgerow spill read a --from 2" reads on',
    ],
  ])("%s: %s", async (command, _, error, said) => {
    const explained =
      command === "read"
        ? explainedRead("a", 2, error)
        : await explainWrite({} as HedgerowClient, "a", {}, error).catch((thrown) => thrown);
    expect(explained).toMatchObject({ code: error.code, message: said });
  });
});
