import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { checkAll, Folder, pour, record, until } from "./kit.ts";
import { type SpillNode, spillNodes } from "./nodes.ts";

const MB = 1 << 20;
const LIMITS = { memoryBytes: 4 * MB, diskBytes: 2 * MB };
const RECORD_BYTES = 1000;

const used = ({ spill }: SpillNode) => spill.memory.used + spill.disk.used;

/** Appends until the store is full or something is lost; gives the error. */
async function fill(store: SpillStore): Promise<HedgerowError> {
  await using writer = store.writer();
  for (let i = store.count; ; i++) {
    try {
      await writer.append(record(i, RECORD_BYTES));
    } catch (error) {
      return HedgerowError.from(error);
    }
  }
}

test("records go through all four tiers and come back in order, twice and by index; closing frees them everywhere", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(3, { ...LIMITS, folder: folder.path });
  const [owner, ...others] = cluster.nodes as [SpillNode, ...SpillNode[]];
  const store = owner.spill.store("a");
  await pour(store, 0, 15_000, RECORD_BYTES);
  const { tiers } = store.stats();
  for (const { records } of Object.values(tiers)) expect(records).toBeGreaterThan(500);
  expect(await checkAll(store, RECORD_BYTES)).toBe(15_000);
  expect(await checkAll(store, RECORD_BYTES)).toBe(15_000);
  for (const index of [0, 5_000, 8_000, 14_999]) {
    expect(await store.at(index)).toEqual(record(index, RECORD_BYTES));
  }
  for (const node of cluster.nodes) {
    expect(node.spill.memory.used).toBeLessThanOrEqual(LIMITS.memoryBytes);
    expect(node.spill.disk.used).toBeLessThanOrEqual(LIMITS.diskBytes);
  }
  await store.close();
  await until(() => others.every((node) => used(node) === 0 && node.spill.holder.stores === 0));
  expect(used(owner)).toBe(0);
});

test("P4: a full cluster is an error of that write, and the limits of the store hold on each node", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(3, {
    memoryBytes: 64 * MB,
    diskBytes: 64 * MB,
    folder: folder.path,
  });
  const [owner, ...others] = cluster.nodes as [SpillNode, ...SpillNode[]];
  const store = owner.spill.store("a", { memoryBytes: 2 * MB, diskBytes: MB });
  const error = await fill(store);
  expect(error.code).toBe("no_space");
  expect(error.message).toContain("its limits allow no more on other nodes");
  expect(store.stats().bytes).toBeGreaterThan(8 * MB);
  for (const { spill } of cluster.nodes) {
    expect(spill.memory.used).toBeLessThanOrEqual(2 * MB);
    expect(spill.disk.used).toBeLessThanOrEqual(MB);
    expect(spill.memory.used + spill.disk.used).toBeGreaterThan(2.5 * MB);
  }
  expect(await checkAll(store, RECORD_BYTES)).toBe(store.count);
  await store.close();
  await until(() => others.every((node) => used(node) === 0));
});

test("P3: a holder dies: readers and the next write are told which records are lost, what is behind them can be read", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(3, { ...LIMITS, folder: folder.path });
  const [owner, one, other] = cluster.nodes as [SpillNode, SpillNode, SpillNode];
  // For so long it is tried, also on a machine that stalls, and then said to be out of reach.
  const store = owner.spill.store("a", { expiryMs: 3_000 });
  await using writer = store.writer(); // which keeps it from expiring
  await pour(store, 0, 13_000, RECORD_BYTES);
  expect(used(one)).toBeGreaterThan(0);
  expect(used(other)).toBeGreaterThan(0);
  await one.kill();
  cluster.members.delete(one.address);

  let at = 0;
  const lost: [number, number][] = [];
  while (at < store.count) {
    try {
      at += await checkAll(store, RECORD_BYTES, at);
    } catch (error) {
      if (!HedgerowError.is(error, "data_lost")) throw error;
      const { from, to } = error.lost ?? { from: -1, to: -1 };
      expect(error.message).toContain(`records ${from} to ${to - 1} are lost`);
      expect(error.message).toContain(one.address);
      lost.push([from, to]);
      at = to;
    }
  }
  expect(lost.length).toBeGreaterThan(3);
  const records = lost.reduce((sum, [from, to]) => sum + to - from, 0);
  const { tiers } = store.stats();
  expect(records).toBeLessThan(tiers.remoteMemory.records + tiers.remoteDisk.records);
  expect(await store.at(0)).toEqual(record(0, RECORD_BYTES));

  // Its lease is not renewed any more: the writer hears of it.
  let error: unknown = null;
  await until(async () => {
    try {
      for (let i = 0; i < 400; i++) await writer.append(record(store.count, RECORD_BYTES));
    } catch (thrown) {
      error = thrown;
    }
    return HedgerowError.is(error, "data_lost");
  });
  expect((error as HedgerowError).lost?.from).toBe(lost[0]?.[0] as number);
}, 90_000);

test("P3: a holder dies while segments are sent: they go elsewhere, and nothing is lost that was not kept there", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(3, { ...LIMITS, folder: folder.path });
  const [owner, one] = cluster.nodes as [SpillNode, SpillNode, SpillNode];
  // Says that it has room and takes nothing.
  const { address } = one;
  await one.kill();
  const store = owner.spill.store("a");
  await pour(store, 0, 10_000, RECORD_BYTES);
  expect(await checkAll(store, RECORD_BYTES)).toBe(10_000);
  expect(cluster.members.has(address)).toBe(true);
});

test("P5: the owner dies: what it had elsewhere is freed within the expiry; as long as it lives it is not", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a", { expiryMs: 1_500 });
  const writer = store.writer();
  await pour(store, 0, 8_000, RECORD_BYTES);
  expect(used(holder)).toBeGreaterThan(0);
  const began = performance.now();
  await until(() => performance.now() - began > 3_000); // two expiries
  expect(await checkAll(store, RECORD_BYTES)).toBe(8_000);
  await owner.kill();
  await until(() => used(holder) === 0, 8_000); // without an expiry of its own it would take 30 s
  expect(holder.spill.holder.stores).toBe(0);
  await writer.close();
});

test("P5: a process that is started anew at the owner's address: what the earlier one had elsewhere is freed at once", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  await pour(owner.spill.store("a"), 0, 8_000, RECORD_BYTES);
  await owner.kill();
  cluster.restart(owner);
  expect(used(holder)).toBeGreaterThan(0);
  holder.spill.memberJoined("127.0.0.1:1");
  holder.spill.memberJoined(owner.address);
  await until(() => used(holder) === 0); // long before the lease of 30 s ends
  expect(holder.spill.holder.stores).toBe(0);
});

test("P5: an owner that is said to have been started anew, and was not, loses nothing", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a");
  await pour(store, 0, 8_000, RECORD_BYTES);
  const { asked } = owner;
  const before = used(holder);
  for (let times = 0; times < 3; times++) holder.spill.memberJoined(owner.address);
  await until(() => owner.asked > asked + 1);
  expect(await checkAll(store, RECORD_BYTES)).toBe(8_000);
  expect(owner.asked).toBe(asked + 2); // once more for all that is said meanwhile
  expect(used(holder)).toBeGreaterThanOrEqual(before);
});

test("P5: where nobody says who is at the owner's address, the lease tells", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  await pour(owner.spill.store("a", { expiryMs: 1_000 }), 0, 8_000, RECORD_BYTES);
  await owner.kill();
  const died = performance.now();
  holder.spill.memberJoined(owner.address);
  await until(() => used(holder) === 0);
  expect(performance.now() - died).toBeGreaterThan(300);
});

test("P3: a holder that is said to have gone, and has not, keeps what it has, and its lease", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a", { expiryMs: 1_500 });
  await using _ = store.writer(); // which keeps it from expiring
  await pour(store, 0, 7_000, RECORD_BYTES);
  const { asked } = holder;
  owner.spill.addressVacated(holder.address);
  await until(() => holder.asked > asked);
  const began = performance.now();
  await until(() => performance.now() - began > 3_000); // two expiries
  await pour(store, 7_000, 7_300, RECORD_BYTES); // writers are told of a loss
  expect(await checkAll(store, RECORD_BYTES)).toBe(7_300);
});

test("P3: a holder was started anew: writers hear of it before the lease ends", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a");
  await pour(store, 0, 7_000, RECORD_BYTES);
  await holder.kill();
  cluster.restart(holder);
  owner.spill.addressVacated(holder.address);
  await using writer = store.writer();
  let error: unknown = null;
  await until(async () => {
    try {
      await writer.append(""); // not only a record that needs a new segment
    } catch (thrown) {
      error = thrown;
    }
    return error !== null;
  });
  expect(HedgerowError.is(error, "data_lost")).toBe(true);
  const { from = 0 } = HedgerowError.from(error).lost ?? {};
  expect(from).toBeGreaterThan(3_000);
  expect(await checkAll(store, RECORD_BYTES).catch(() => "lost")).toBe("lost");
});

test("P6: a reader that leaves early, or does not read on, holds up neither close nor the holder", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(2, { ...LIMITS, folder: folder.path });
  const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
  const store = owner.spill.store("a");
  await pour(store, 0, 8_000, RECORD_BYTES);
  for await (const batch of store.reader({ from: 6_500 }).batches()) {
    expect(batch.length).toBeGreaterThan(0);
    break;
  }
  const stalled = store.reader({ from: 6_500 }).batches();
  await stalled.next();
  await store.close();
  await until(() => used(holder) === 0);
  expect(await stalled.next().catch((error) => error.code)).toBe("not_found");
});
