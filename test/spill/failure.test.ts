import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import {
  checkAll,
  FakeFiles,
  flipBit,
  Folder,
  pour,
  record,
  spillOf,
  systemError,
  unlinkedFiles,
  until,
} from "./kit.ts";

/** Appends records from `from` on until one is refused; how many there are then, and why. */
async function fill(store: SpillStore, from = 0): Promise<{ count: number; error: HedgerowError }> {
  await using writer = store.writer();
  for (let i = from; ; i++) {
    try {
      await writer.append(record(i));
    } catch (error) {
      return { count: i, error: HedgerowError.from(error) };
    }
  }
}

for (const [code, mend] of [
  ["ENOSPC", "free the disk that the spill folder is on"],
  ["EIO", "see to the disk that the spill folder is on"],
] as const) {
  test(`P2: ${code} fails the write with its reason; what was appended is readable; room makes it go on`, async () => {
    const files = new FakeFiles();
    const spill = spillOf({ files });
    const store = spill.store("a", { memoryBytes: 128 << 10, diskBytes: 4 << 20 });
    await pour(store, 0, 10_000);
    files.failure = systemError(code);
    const { count, error } = await fill(store, 10_000);
    expect(error.code).toBe("no_space");
    expect(error.message).toContain(code);
    expect(error.message).toEndWith(`${mend}, or close stores`);
    expect(store.count).toBe(count);
    expect(await checkAll(store)).toBe(count);
    expect((await fill(store, count)).count).toBeLessThan(count + 3_000);
    expect(store.stats().diskUsed).toBe(
      files.files.filter((file) => !file.closed).reduce((sum, file) => sum + file.bytes.length, 0),
    );
    files.failure = null;
    const { count: more } = store;
    await pour(store, more, more + 10_000);
    expect(await checkAll(store)).toBe(more + 10_000);
    await store.close();
    expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
    expect(files.files.every((file) => file.closed)).toBe(true);
  });
}

test("P2: a folder that is not there, or may not be written", async () => {
  const store = spillOf({ folder: "/proc/none" }).store("a", {
    memoryBytes: 0,
    diskBytes: 1 << 20,
  });
  const { count, error } = await fill(store);
  expect(error.code).toBe("no_space");
  expect(error.message).toContain("/proc/none");
  expect(await checkAll(store)).toBe(count);
});

test("P4: the limits of the store hold, and a full store is an error of that write", async () => {
  const files = new FakeFiles();
  const spill = spillOf({ files });
  const limits = { memoryBytes: 1 << 20, diskBytes: 2 << 20 };
  const store = spill.store("a", limits);
  const { count, error } = await fill(store);
  expect(error.code).toBe("no_space");
  expect(error.message).toContain("its limits allow no more on this node");
  const { memoryUsed, diskUsed } = store.stats();
  expect(memoryUsed).toBeLessThanOrEqual(limits.memoryBytes);
  expect(diskUsed).toBeLessThanOrEqual(limits.diskBytes);
  expect(memoryUsed).toBeGreaterThan(limits.memoryBytes * 0.85);
  expect(diskUsed).toBeGreaterThan(limits.diskBytes * 0.9);
  expect(diskUsed).toBe(files.files.reduce((sum, file) => sum + file.bytes.length, 0));
  expect([spill.memory.used, spill.disk.used]).toEqual([memoryUsed, diskUsed]);
  expect(await checkAll(store)).toBe(count);
});

test("P4: stores share the node's limits, and what one frees the other one gets", async () => {
  const files = new FakeFiles();
  const spill = spillOf({ files, memoryBytes: 2 << 20, diskBytes: 2 << 20 });
  const one = spill.store("one");
  const other = spill.store("other");
  await pour(other, 0, 1_000);
  const full = await fill(one);
  const { count, error } = await fill(other, 1_000);
  expect(error.code).toBe("no_space");
  const staging = 2 * other.maxRecordBytes * 1.2;
  expect(spill.memory.used).toBeLessThanOrEqual(spill.memory.limit + staging);
  expect(spill.disk.used).toBeLessThanOrEqual(spill.disk.limit);
  expect(await checkAll(one)).toBe(full.count);
  await one.close();
  await pour(other, count, count + 10_000);
  expect(await checkAll(other)).toBe(count + 10_000);
});

test("limits above the node's use all that the node has", async () => {
  const files = new FakeFiles();
  const spill = spillOf({ files, memoryBytes: 4 << 20, diskBytes: 64 << 20 });
  const store = spill.store("a", { memoryBytes: 2 ** 40, diskBytes: 2 ** 40 });
  await pour(store, 0, 400_000); // its segments are of 8 MiB
  const { tiers } = store.stats();
  expect(tiers.localMemory.bytes).toBeGreaterThan(1 << 20);
  expect(tiers.localDisk.bytes).toBeGreaterThan(4 << 20);
  expect(await checkAll(store)).toBe(400_000);
});

test("a store that found memory taken goes on in memory when that is free again", async () => {
  const spill = spillOf({ memoryBytes: 2 << 20, diskBytes: 0 });
  const one = spill.store("one");
  const other = spill.store("other");
  await fill(one);
  const { count } = await fill(other);
  await one.close();
  await pour(other, count, count + 10_000);
  expect(await checkAll(other)).toBe(count + 10_000);
  expect(spill.memory.used).toBeLessThanOrEqual(spill.memory.limit);
});

test("a store without disk and other nodes holds what its memory holds", async () => {
  const store = spillOf().store("a", { memoryBytes: 1 << 20, diskBytes: 0 });
  const { count, error } = await fill(store);
  expect(error.code).toBe("no_space");
  expect(count * 100).toBeGreaterThan(800_000);
  expect(await checkAll(store)).toBe(count);
});

test("P5: the files have no names, and their space is free when the store is closed, though views of them live", async () => {
  using folder = new Folder();
  const store = spillOf({ folder: folder.path }).store("a", { memoryBytes: 0, diskBytes: 8 << 20 });
  await pour(store, 0, 40_000);
  expect(Bun.spawnSync(["ls", "-A", folder.path]).stdout.toString()).toBe("");
  const open = unlinkedFiles(folder.path);
  expect(open.length).toBeGreaterThan(4);
  const held = [];
  for await (const batch of store.reader().batches()) held.push(batch);
  await store.close();
  await until(() => unlinkedFiles(folder.path).length === 0);
  expect(held[0]?.at(1)?.every((byte) => byte === 0)).toBe(true);
});

test("P8: a bit turned around in any 4 KiB of a segment is noticed, and nothing of it is delivered", async () => {
  using folder = new Folder();
  const store = spillOf({ folder: folder.path }).store("a", { memoryBytes: 0, diskBytes: 1 << 20 });
  await pour(store, 0, 600);
  await pour(store, 600, 2_000);
  await until(() => store.stats().tiers.localMemory.segments === 1); // all others have been written
  const [path = ""] = unlinkedFiles(folder.path);
  const { size } = Bun.file(path);
  const length = Number(Bun.spawnSync(["stat", "-Lc", "%s", path]).stdout.toString()) || size;
  expect(length).toBeGreaterThan(60_000);
  const firstOnDisk = await firstBroken(store, path, 0);
  for (let at = 0; at < length; at += 4096) {
    // The last bytes of a page, too.
    for (const place of [at, Math.min(length - 1, at + 4095)]) {
      expect(await firstBroken(store, path, place)).toEqual(firstOnDisk);
    }
  }
  expect(await checkAll(store)).toBe(2_000);
});

/** What a reader is told, with one bit turned around in between. */
async function firstBroken(store: SpillStore, path: string, at: number) {
  flipBit(path, at);
  try {
    await checkAll(store);
    throw new Error(`a bit at ${at} was not noticed`);
  } catch (error) {
    if (!HedgerowError.is(error, "data_lost")) throw error;
    expect(error.message).toContain("checksum");
    return error.lost;
  } finally {
    flipBit(path, at);
  }
}

test("P4: many stores on a node without memory take no more than a few: the others are refused until there is room", async () => {
  const GB = 2 ** 30;
  const files = new FakeFiles();
  const spill = spillOf({ files, memoryBytes: 0, diskBytes: GB });
  const stores = Array.from({ length: 40 }, (_, i) => spill.store(`store ${i}`));
  const writers = stores.map((store) => store.writer());
  const append = async (i: number, bytes = 100) => {
    try {
      await writers[i]?.append(record(0, bytes));
      return "taken";
    } catch (error) {
      return HedgerowError.from(error).code;
    }
  };
  const told = await Promise.all(stores.map((_, i) => append(i)));
  const taken = told.filter((one) => one === "taken").length;
  expect(told).toEqual(stores.map((_, i) => (i < taken ? "taken" : "no_space")));
  expect(taken).toBeGreaterThan(4);
  expect(spill.memory.used).toBeLessThan(80 << 20);
  // Those that have begun go on, through one buffer each.
  for (let i = 0; i < 40; i++) expect(await append(0, 1 << 20)).toBe("taken");
  expect(spill.memory.used).toBeLessThan(80 << 20);
  let [count, bytes] = [0, 0];
  for await (const one of stores[0]?.reader() ?? []) {
    count++;
    bytes += one.length;
  }
  expect([count, bytes]).toEqual([41, 100 + 40 * 2 ** 20]);
  await stores[1]?.close();
  await stores[2]?.close();
  expect(await append(39)).toBe("taken");
  for (const store of stores) await store.close();
  expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
});
