import { createHash } from "node:crypto";
import { afterAll, expect, test } from "bun:test";
import type { HedgerowNode } from "../../src/node/api.ts";
import { cli } from "../cli/cli-kit.ts";
import { withServer } from "../cli/server-kit.ts";
import { Folder, spillOf } from "../spill/kit.ts";
import { appKit } from "./app-kit.ts";

const folder = new Folder();
afterAll(() => folder[Symbol.dispose]());
const limits = { memoryBytes: 1 << 20, diskBytes: 16 << 20 };
const spill = spillOf({ folder: folder.path, ...limits });
const node: Partial<HedgerowNode> = {
  spill: (name, given) => spill.store(name, given),
  findSpill: (name) => spill.find(name),
};

test("/sos writes, reads twice and frees what it took, also on a node alone", async () => {
  const alone = { ...node, members: () => [] as ReturnType<HedgerowNode["members"]> };
  const one = { ...alone, members: () => [{}] as ReturnType<HedgerowNode["members"]> };
  const { post } = appKit(one);
  expect(await post("/sos?name=demo")).toEqual({ status: 200, text: "OK" });
  expect(await post("/sos")).toEqual({ status: 200, text: "OK" });
  expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
});

test("/sos says why not, with a true status", async () => {
  const { post } = appKit({ ...node, members: () => new Array(100).fill({}) });
  const { status, text } = await post("/sos?name=demo");
  expect(status).toBe(507);
  expect(text).toContain("no room for more records");
  expect(spill.memory.used).toBe(0);
});

test("spill write and spill read give the same lines, twice; close frees them", async () => {
  const lines = Array.from({ length: 30_000 }, (_, i) => `${i} ${"ä".repeat(i % 97)}`);
  const text = `${lines.join("\n")}\n`;
  const sha = (given: string) => createHash("sha256").update(given).digest("hex");
  await withServer(node, async (url) => {
    const server = ["--server", url];
    const written = await cli(["spill", "write", "a", "--json", ...server], {}, Buffer.from(text));
    expect(written.stderr).toBe("");
    const { tiers, ...counts } = JSON.parse(written.stdout);
    expect(counts).toEqual({
      written: 30_000,
      records: 30_000,
      bytes: Buffer.byteLength(text) - 30_000,
    });
    expect(tiers.localMemory.records + tiers.localDisk.records).toBe(30_000);
    expect(tiers.localDisk.records).toBeGreaterThan(10_000);
    for (let pass = 0; pass < 2; pass++) {
      const read = await cli(["spill", "read", "a", ...server]);
      expect(read.code).toBe(0);
      expect(sha(read.stdout)).toBe(sha(text));
    }
    const part = await cli(["spill", "read", "a", "--from", "29999", ...server]);
    expect(part.stdout).toBe(`${lines[29_999]}\n`);
    const more = await cli(["spill", "write", "a", ...server], {}, Buffer.from("one\n\ntwo"));
    expect(more.stdout).toContain("3 records written to a, which holds 30003:");
    const tail = await cli(["spill", "read", "a", "--from", "30000", ...server]);
    expect(tail.stdout).toBe("one\n\ntwo\n");
    expect((await cli(["spill", "close", "a", ...server])).code).toBe(0);
    const gone = await cli(["spill", "read", "a", ...server]);
    expect(gone.code).toBe(1);
    expect(gone.stderr).toContain("no spill store a on this node");
  });
  expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
});

test("what does not fit fails with its reason, and what was written before can be read", async () => {
  await withServer(node, async (url) => {
    const server = ["--server", url];
    const line = `${"x".repeat(99)}\n`;
    const input = Buffer.from(line.repeat(20_000));
    const flags = ["--memory", "100KB", "--disk", "400KB", "--expiry", "10s"];
    const full = await cli(["spill", "write", "full", ...flags, ...server], {}, input);
    expect(full.code).toBe(1);
    expect(full.stderr).toContain("no room for more records");
    const { stdout } = await cli(["spill", "read", "full", ...server]);
    expect(stdout.length).toBeGreaterThan(400_000);
    expect(stdout).toBe(line.repeat(stdout.length / line.length));
    const other = await cli(["spill", "write", "full", "--memory", "1MB", ...server], {}, input);
    expect(other.stderr).toContain("lives with memoryBytes 100000");
    await cli(["spill", "close", "full", ...server]);
    const long = Buffer.alloc(9 << 20, 120);
    const refused = await cli(["spill", "write", "long", ...server], {}, long);
    expect(refused.stderr).toContain("line 1 is over");
  });
});
