import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, LONG, type Node, until } from "./processes.ts";
import {
  anonymousBytes,
  flipBit,
  numbersOf,
  pour,
  readBack,
  scratchFiles,
  spillUse,
} from "./spill-kit.ts";

const MB = 1_000_000;
const folder = mkdtempSync(join(tmpdir(), "hedgerow-spill-"));
let cluster: Cluster;

async function start(
  nodes: number,
  memory: number,
  disk: number,
  { dir = folder, flags = [] as readonly string[] } = {},
): Promise<Node[]> {
  const limits = ["--spill-memory", `${memory}MB`, "--spill-disk", `${disk}MB`];
  cluster = await Cluster.start({ nodes, flags: ["--spill-dir", dir, ...limits, ...flags] });
  await cluster.settled();
  return [...cluster.nodes];
}

afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  expect(readdirSync(folder)).toEqual([]);
});
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Files that the nodes keep spilled segments in. */
const filesOf = (nodes: readonly Node[]) =>
  nodes.reduce((sum, { pid }) => sum + scratchFiles(pid, folder).length, 0);

test(
  "lines go through all four tiers of three nodes and come back the same, in the same order, twice",
  async () => {
    const [total, memory, disk] = LONG ? [2_000, 256, 512] : [100, 13, 26];
    const [node, ...others] = (await start(3, memory, disk)) as [Node, ...Node[]];
    const poured = await pour(node, "all", total * MB);
    expect(poured.stderr).toBe("");
    const { localMemory = 0, localDisk = 0, remoteMemory = 0, remoteDisk = 0 } = poured.tiers;
    expect(localMemory + localDisk + remoteMemory + remoteDisk).toBe(poured.lines);
    const least = poured.lines / 20;
    for (const records of [localMemory, localDisk, remoteMemory, remoteDisk]) {
      expect(records).toBeGreaterThan(least);
    }
    for (let pass = 0; pass < 2; pass++) {
      const { code, stderr, ...read } = await readBack(node, "all");
      expect([code, stderr]).toEqual([0, ""]);
      expect(read).toEqual({ lines: poured.lines, sha256: poured.sha256, brokenAt: -1 });
    }
    const closed = await node.call("SpillClose", { name: "all" });
    expect(closed.ok).toBe(true);
    await until("all files are freed", 5_000, () => filesOf([node, ...others]) === 0);
    expect(await node.demo("/sos", "")).toEqual({ status: 200, text: "OK" });
  },
  LONG ? 600_000 : 60_000,
);

test(
  "a node that serves a large store does not hold it in memory, but what it sends",
  async () => {
    const [total, memory] = LONG ? [4_000, 64] : [400, 16];
    const [node] = (await start(1, memory, total * 1.2)) as [Node];
    const poured = await pour(node, "large", total * MB);
    expect(poured.stderr).toBe("");
    const before = anonymousBytes(node.pid);
    let most = 0;
    const { lines, sha256 } = await readBack(node, "large", 0, () => {
      most = Math.max(most, anonymousBytes(node.pid));
    });
    expect({ lines, sha256 }).toEqual({ lines: poured.lines, sha256: poured.sha256 });
    expect(Math.round((most - before) / MB)).toBeLessThan(memory + 100);
  },
  LONG ? 600_000 : 60_000,
);

test("P1: two commands append to one store at once: all lines are there, those of each command in its order", async () => {
  const [node] = (await start(1, 4, 16)) as [Node];
  const poured = await Promise.all([pour(node, "a", 6 * MB), pour(node, "a", 6 * MB)]);
  expect(poured.map(({ stderr }) => stderr)).toEqual(["", ""]);
  const next = [0, 0];
  for (const number of await numbersOf(node, "a")) {
    const one = next.indexOf(number);
    if (one === -1) throw new Error(`line ${number} where ${next.join(" or ")} was to come`);
    next[one] = number + 1;
  }
  expect(next).toEqual(poured.map(({ lines }) => lines));
}, 60_000);

test("P4: a full cluster is an error of that write; no node takes more than it may, and what was taken can be read", async () => {
  const nodes = (await start(3, 4, 4)) as [Node, ...Node[]];
  const [node] = nodes;
  const poured = await pour(node, "a", 40 * MB);
  expect(poured.code).toBe(1);
  expect(poured.stderr).toContain("no room");
  for (const one of nodes) {
    for (const medium of ["memory", "disk"] as const) {
      const { used, limit } = await spillUse(one, medium);
      expect(limit).toBe(4 * MB);
      expect(used).toBeLessThanOrEqual(limit);
      expect(used).toBeGreaterThan(0.8 * limit);
    }
  }
  const read = await readBack(node, "a");
  expect([read.code, read.stderr, read.brokenAt]).toEqual([0, "", -1]);
  expect(read.lines).toBeGreaterThan(18_000);
  // Room that appears is found by the others.
  const other = nodes[1] as Node;
  expect((await pour(other, "refused", 12 * MB)).code).toBe(1);
  expect((await node.call("SpillClose", { name: "a" })).ok).toBe(true);
  let tries = 0;
  await until("another node finds the room", 20_000, async () => {
    const name = `b${tries++}`;
    const { code } = await pour(other, name, 12 * MB);
    if (code !== 0) await other.call("SpillClose", { name });
    return code === 0;
  });
}, 60_000);

test("P7: unknown and closed names are errors for who asks, and names can be used again", async () => {
  const [node, other] = (await start(2, 8, 8)) as [Node, Node];
  expect((await pour(node, "a", 2 * MB)).stderr).toBe("");
  for (const [asked, name] of [
    [node, "b"],
    [other, "a"], // it lives where it was written
  ] as const) {
    const read = await readBack(asked, name);
    expect([read.code, read.lines]).toEqual([1, 0]);
    expect(read.stderr).toContain(`no spill store ${name} on this node`);
    expect((await asked.call("SpillClose", { name })).ok).toBe(false);
  }
  expect((await node.call("SpillClose", { name: "a" })).ok).toBe(true);
  expect((await readBack(node, "a")).code).toBe(1);
  expect((await pour(node, "a", MB)).stderr).toBe("");
  expect((await readBack(node, "a")).lines).toBe(1_000);
  expect(cluster.living.length).toBe(2);
}, 60_000);

test("P3: a holder is killed: reading names the lost range and goes on behind it, writing is refused, nobody else falls", async () => {
  const [node, ...others] = (await start(3, 8, 8)) as [Node, ...Node[]];
  const poured = await pour(node, "a", 36 * MB, ["--expiry", "60s"]);
  expect(poured.stderr).toBe("");
  const killed = others.find((other) => filesOf([other]) > 0) as Node;
  killed.signal("SIGKILL");
  await killed.exited();
  let read = 0;
  let lost = 0;
  for (let from = 0; from < poured.lines;) {
    const part = await readBack(node, "a", from);
    read += part.lines;
    expect(part.brokenAt).toBe(-1);
    if (part.code === 0) break;
    const [, first, last] = /records (\d+) to (\d+) are lost/.exec(part.stderr) ?? [];
    // No gap: the range begins where the last line ended.
    expect(Number(first)).toBe(from + part.lines);
    lost += Number(last) - Number(first) + 1;
    from = Number(last) + 1;
  }
  expect(lost).toBeGreaterThan(5_000);
  expect(read + lost).toBe(poured.lines);
  let refusal = "";
  await until("writers hear of it", 20_000, async () => {
    ({ stderr: refusal } = await pour(node, "a", 3 * MB));
    return refusal.includes("are lost");
  });
  expect(refusal).toContain(killed.address);
  expect(cluster.living.length).toBe(2);
}, 90_000);

test("P3: a holder stands still for a while in the middle of reading: the reader waits, and nothing is lost", async () => {
  const [node, ...others] = (await start(3, 8, 8)) as [Node, ...Node[]];
  const poured = await pour(node, "a", 36 * MB);
  expect(poured.stderr).toBe("");
  const stopped = others.find((other) => filesOf([other]) > 0) as Node;
  stopped.signal("SIGSTOP");
  let goOn: Timer | undefined;
  const read = await readBack(node, "a", 0, () => {
    goOn ??= setTimeout(() => stopped.signal("SIGCONT"), 2_500);
  });
  clearTimeout(goOn);
  stopped.signal("SIGCONT");
  expect(read).toEqual({
    code: 0,
    stderr: "",
    lines: poured.lines,
    sha256: poured.sha256,
    brokenAt: -1,
  });
}, 60_000);

test("P3: a holder is killed, another one stopped, in the middle of writing and of reading: nothing is left out in silence", async () => {
  const [node, ...others] = (await start(3, 8, 16)) as [Node, ...Node[]];
  const [killed, stopped] = others as [Node, Node];
  // Under way while segments go to both.
  const pouring = pour(node, "a", 60 * MB, ["--expiry", "20s"]);
  await until("both keep segments", 20_000, () => others.every((one) => filesOf([one]) > 1));
  killed.signal("SIGKILL");
  const poured = await pouring;
  // It went through before anybody knew, or it was told.
  if (poured.code !== 0) expect(poured.stderr).toMatch(/are lost|are out of reach|no room/);

  let stoppedAt = -1;
  let seen = 0;
  let from = 0;
  let lost = 0;
  for (let parts = 0; parts < 200; parts++) {
    const part = await readBack(node, "a", from, () => {
      seen++;
      if (stoppedAt < 0 && seen > 20) {
        stopped.signal("SIGSTOP");
        stoppedAt = seen;
      }
    });
    expect(part.brokenAt).toBe(-1);
    from += part.lines;
    if (part.code === 0) break;
    const [, first, last] = /records (\d+) to (\d+) are (?:lost|out of)/.exec(part.stderr) ?? [];
    expect(Number(first)).toBe(from);
    lost += Number(last) - Number(first) + 1;
    from = Number(last) + 1;
  }
  expect(lost).toBeGreaterThan(1_000);
  expect(stoppedAt).toBeGreaterThan(0);
  expect(node.running).toBe(true);
  stopped.signal("SIGCONT");
}, 120_000);

test("P5: the owner is killed: its files go with it, and what others kept for it within the expiry", async () => {
  const [node, ...others] = (await start(3, 8, 8)) as [Node, ...Node[]];
  const poured = await pour(node, "a", 36 * MB, ["--expiry", "4s"]);
  expect(poured.stderr).toBe("");
  expect(filesOf(others)).toBeGreaterThan(3);
  expect(readdirSync(folder)).toEqual([]);
  node.signal("SIGKILL");
  await node.exited();
  await until("others have freed what they kept", 6_000, () => filesOf(others) === 0);
  // They have room again, for a store of their own.
  const [next] = others as [Node];
  expect((await pour(next, "b", 24 * MB)).stderr).toBe("");
}, 60_000);

test("P5: the owner is killed and started anew at its address: what others kept for it is freed long before the expiry", async () => {
  const [node, ...others] = (await start(3, 8, 8)) as [Node, ...Node[]];
  expect((await pour(node, "a", 36 * MB, ["--expiry", "60s"])).stderr).toBe("");
  expect(filesOf(others)).toBeGreaterThan(3);
  node.signal("SIGKILL");
  await node.exited();
  node.start();
  await until("others have freed what they kept", 20_000, () => filesOf(others) === 0);
}, 60_000);

test("P6: a store is closed at once, though a node that keeps some of it stands still", async () => {
  const [node, ...others] = (await start(3, 8, 8)) as [Node, ...Node[]];
  const poured = await pour(node, "a", 36 * MB);
  expect(poured.stderr).toBe("");
  const stopped = others.find((other) => filesOf([other]) > 0) as Node;
  stopped.signal("SIGSTOP");
  let lines = 0;
  const reading = readBack(node, "a", 0, () => lines++);
  await until("it reads", 10_000, () => lines > 0);
  const began = performance.now();
  expect((await node.call("SpillClose", { name: "a" })).ok).toBe(true);
  expect(performance.now() - began).toBeLessThan(2_000);
  expect((await reading).code).toBe(1);
  expect(performance.now() - began).toBeLessThan(5_000); // it would wait for 12 s
  stopped.signal("SIGCONT");
}, 60_000);

test("P8: a bit turned around in any 4 KiB of a file, here or on another node: its records are named, and not delivered", async () => {
  const nodes = (await start(2, 1, 2)) as [Node, Node];
  const [node] = nodes;
  const poured = await pour(node, "a", 5 * MB);
  expect(poured.stderr).toBe("");
  await until("both have files", 5_000, () => nodes.every((one) => filesOf([one]) > 0));
  for (const { pid } of nodes) {
    const [path = ""] = scratchFiles(pid, folder);
    const ranges = new Set<string>();
    const { size } = statSync(path);
    expect(size).toBeGreaterThan(15 * 4_096);
    for (let page = 0; page < size; page += 4_096) {
      const at = Math.min(size - 1, page + (((page / 4_096) * 601) % 4_096));
      flipBit(path, at);
      const read = await readBack(node, "a");
      flipBit(path, at);
      const [range = "", first, last] = /records (\d+) to (\d+) are lost/.exec(read.stderr) ?? [];
      expect({ code: read.code, lines: read.lines, brokenAt: read.brokenAt }).toEqual({
        code: 1,
        lines: Number(first),
        brokenAt: -1,
      });
      expect(Number(last)).toBeGreaterThan(Number(first));
      ranges.add(range);
    }
    expect(ranges.size).toBe(1);
  }
  const { lines, sha256 } = await readBack(node, "a");
  expect({ lines, sha256 }).toEqual({ lines: poured.lines, sha256: poured.sha256 });
}, 60_000);

test("compressed, two nodes hold several times their room, and lines come back the same", async () => {
  const flags = ["--spill-compression", "zstd"];
  const [node, other] = (await start(2, 8, 8, { flags })) as [Node, Node];
  const poured = await pour(node, "a", 80 * MB);
  expect(poured.stderr).toBe("");
  const { remoteMemory = 0, remoteDisk = 0 } = poured.tiers;
  expect(remoteMemory + remoteDisk).toBeGreaterThan(60_000);
  const { lines, sha256 } = await readBack(node, "a");
  expect({ lines, sha256 }).toEqual({ lines: poured.lines, sha256: poured.sha256 });
  expect(filesOf([other])).toBe(0); // its memory was enough
}, 60_000);

const SMALL = mountSmallDisk();

test.skipIf(typeof SMALL === "string")(
  `P2: the disk is full: the write fails with the reason, what was written before can be read, the node goes on${typeof SMALL === "string" ? SMALL : ""}`,
  async () => {
    const { directory } = SMALL as { directory: string };
    const [node] = (await start(1, 2, 64, { dir: directory })) as [Node];
    expect(node.stderr).toContain("the spill store's folder is in memory");
    const poured = await pour(node, "a", 32 * MB);
    expect(poured.code).toBe(1);
    expect(poured.stderr).toContain("ENOSPC");
    const read = await readBack(node, "a");
    expect(read.code).toBe(0);
    expect(read.lines).toBeGreaterThan(5_000);
    expect(read.lines).toBeLessThan(poured.lines);
    expect(node.running).toBe(true);
    expect((await node.call("SpillClose", { name: "a" })).ok).toBe(true);
    expect((await pour(node, "b", 4 * MB)).stderr).toBe("");
    expect((await readBack(node, "b")).lines).toBeGreaterThanOrEqual(4_000);
  },
  60_000,
);

/** A disk of 4 MB, or why there is none. */
function mountSmallDisk(): { readonly directory: string } | string {
  if (process.platform !== "linux") return " (skipped: tmpfs is Linux's)";
  if (process.getuid?.() !== 0) return " (skipped: only root may mount a small disk)";
  const directory = mkdtempSync(join(tmpdir(), "hedgerow-disk-"));
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory]);
  if (!mounted.success) {
    rmdirSync(directory);
    return ` (skipped: ${mounted.stderr.toString().trim()})`;
  }
  process.on("exit", () => {
    Bun.spawnSync(["umount", directory]);
    rmdirSync(directory);
  });
  return { directory };
}
