import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { RoomResponseSchema } from "../../src/gen/hedgerow/v1/spill_pb.ts";
import { encode } from "../../src/rpc/codec.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { FETCH, KEEP } from "../../src/spill/remote/wire.ts";
import { checkAll, Folder, pour, record, until } from "./kit.ts";
import { type SpillNode, spillNodes } from "./nodes.ts";

// Placement by what members say of their room.

const MB = 1 << 20;
const LIMITS = { memoryBytes: 4 * MB, diskBytes: 2 * MB };
const RECORD_BYTES = 1_000;
const asked = (nodes: readonly SpillNode[]) => nodes.reduce((sum, node) => sum + node.asked, 0);

/** Appends until there is no room. */
async function fill(store: SpillStore): Promise<void> {
  await using writer = store.writer();
  try {
    for (let i = store.count; ; i++) await writer.append(record(i, RECORD_BYTES));
  } catch (error) {
    if (!HedgerowError.is(error, "no_space")) throw error;
  }
}

test("nodes that all spill at once ask nobody for room, and say little of theirs", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(4, { ...LIMITS, folder: folder.path });
  const stores = cluster.nodes.map(({ spill }, i) => spill.store(`of ${i}`));
  const began = performance.now();
  await Promise.all(stores.map((store) => pour(store, 0, 3_500, RECORD_BYTES)));
  const [first] = stores as [SpillStore];
  await pour(first, 3_500, 6_000, RECORD_BYTES);
  expect(asked(cluster.nodes)).toBe(0);
  const seconds = (performance.now() - began) / 1e3;
  for (const times of cluster.notices.said.values()) {
    expect(times).toBeLessThanOrEqual(2 + seconds);
  }
  expect(await checkAll(first, RECORD_BYTES)).toBe(6_000);
  for (const { spill } of cluster.nodes) {
    expect(spill.memory.used).toBeLessThanOrEqual(LIMITS.memoryBytes);
  }
});

test("a node that has heard of nobody's room spills at once: it asks, each member once", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(0, { ...LIMITS, folder: folder.path, patient: true });
  cluster.notices.isSilent = true;
  for (let i = 0; i < 3; i++) cluster.add();
  const [owner] = cluster.nodes as [SpillNode];
  const store = owner.spill.store("a");
  await pour(store, 0, 12_000, RECORD_BYTES);
  expect(asked(cluster.nodes)).toBe(2);
  expect(await checkAll(store, RECORD_BYTES)).toBe(12_000);
});

test("who has room, but as much of the store already as its limits allow, keeps nobody from being asked", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(0, { ...LIMITS, folder: folder.path, patient: true });
  const owner = cluster.add({ memoryBytes: 256 << 10, diskBytes: 0 });
  cluster.add();
  cluster.notices.isSilent = true;
  const unheard = cluster.add();
  const store = owner.spill.store("a", { memoryBytes: MB, diskBytes: 0 });
  await pour(store, 0, 1_800, RECORD_BYTES);
  expect(unheard.asked).toBeGreaterThan(0);
  expect(await checkAll(store, RECORD_BYTES)).toBe(1_800);
});

test("P4: room that appears elsewhere in a full cluster is found, though the writer asks nobody", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(3, { ...LIMITS, folder: folder.path });
  const [owner, other] = cluster.nodes as [SpillNode, SpillNode];
  const others = other.spill.store("others");
  await pour(others, 0, 5_000, RECORD_BYTES);
  const store = owner.spill.store("a");
  await fill(store);
  const { count } = store;
  await others.close();
  await using writer = store.writer();
  await until(async () => {
    try {
      for (let i = store.count; i < count + 2_000; i++)
        await writer.append(record(i, RECORD_BYTES));
      return true;
    } catch (error) {
      if (!HedgerowError.is(error, "no_space")) throw error;
      return false;
    }
  });
  expect(await checkAll(store, RECORD_BYTES)).toBe(store.count);
});

test("lies about others' room cost attempts, and lose nothing", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(0, { ...LIMITS, folder: folder.path });
  const owner = cluster.add({ memoryBytes: 256 << 10, diskBytes: 0 });
  const full = cluster.add({ memoryBytes: 0, diskBytes: 0 });
  const free = cluster.add();
  let stamp = 1e15;
  const lie = (about: SpillNode, bytes: bigint) => {
    const body = encode(RoomResponseSchema, { memory: bytes, disk: bytes });
    owner.spill.heardRoom(about.address, body, ++stamp);
  };
  const store = owner.spill.store("a", { memoryBytes: 2 * MB, diskBytes: MB });
  await using writer = store.writer();
  for (let i = 0; i < 1_000; i++) {
    if (i % 100 === 0) lie(full, 2n ** 60n);
    await writer.append(record(i, RECORD_BYTES));
  }
  expect(store.stats().tiers.remoteMemory.records).toBeGreaterThan(500);
  const append = () => writer.append(record(store.count, RECORD_BYTES));
  const lies = async () => {
    for (;;) {
      lie(free, 0n);
      await append();
    }
  };
  expect(await lies().catch((error) => error.code)).toBe("no_space");
  const { count } = store;
  await until(async () => {
    try {
      while (store.count < count + 300) await append();
    } catch (error) {
      if (!HedgerowError.is(error, "no_space")) throw error;
    }
    return store.count === count + 300;
  });
  expect(await checkAll(store, RECORD_BYTES)).toBe(store.count);
});

test("what was on its way when its store was closed takes no room from the stores that follow", async () => {
  using folder = new Folder();
  await using cluster = await spillNodes(0, { ...LIMITS, folder: folder.path, patient: true });
  const owner = cluster.add({ memoryBytes: 256 << 10, diskBytes: 0 });
  const holder = cluster.add({ memoryBytes: MB, diskBytes: 0 }); // which says so once
  const limits = { memoryBytes: MB, diskBytes: 0 };
  holder.stall(KEEP, "opening");
  for (let times = 0; times < 20; times++) {
    const store = owner.spill.store("a", limits);
    const poured = pour(store, 0, 1_000, RECORD_BYTES).catch((error: unknown) => error);
    await until(() => holder.stalled > 0);
    await store.close();
    expect(HedgerowError.is(await poured, "not_found")).toBe(true);
    await until(() => holder.stalled === 0);
  }
  holder.stall(FETCH, "opening");
  await pour(owner.spill.store("a", limits), 0, 1_000, RECORD_BYTES);
  expect(asked(cluster.nodes)).toBe(0);
});
