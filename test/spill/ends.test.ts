import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { isRemote } from "../../src/spill/catalog.ts";
import type { Store } from "../../src/spill/store.ts";
import {
  checkAll,
  type FakeFile,
  FakeFiles,
  Folder,
  pour,
  record,
  spillOf,
  systemError,
  unlinkedFiles,
  until,
} from "./kit.ts";
import { HOLDER, Keeper, spillBeside } from "./keeper.ts";

const LIMITS = { memoryBytes: 64 << 10, diskBytes: 1 << 20, expiryMs: 600 };
const codeOf = (error: unknown) => (HedgerowError.is(error) ? error.code : error);

/** Appends until a segment is on its way to the other node. */
async function pourUntilKept(store: SpillStore, keeper: Keeper): Promise<void> {
  await using writer = store.writer();
  for (let waits: Promise<void> | undefined; waits === undefined && keeper.kept.size === 0;) {
    waits = writer.append("x".repeat(1_000));
    waits?.catch(() => {});
  }
  await until(() => keeper.kept.size > 0);
}

test("a store is closed while its first segment elsewhere is acknowledged: it is freed there, and no lease is renewed", async () => {
  const keeper = new Keeper();
  const acknowledging = Promise.withResolvers<void>();
  keeper.acknowledging = acknowledging.promise;
  const { spill, clock } = spillBeside(keeper);
  const store = spill.store("a", LIMITS);
  await pourUntilKept(store, keeper);
  const closed = store.close();
  acknowledging.resolve(); // too late
  await closed;
  await until(() => keeper.kept.size === 0);
  clock.pass(60_000);
  expect([keeper.renewals, clock.timers.size]).toEqual([0, 0]);
  expect([spill.memory.used, spill.size]).toEqual([0, 0]);
});

test("P3: a holder that members doubt while it acknowledges its first segment is not taken for another one later", async () => {
  const keeper = new Keeper();
  const acknowledging = Promise.withResolvers<void>();
  keeper.acknowledging = acknowledging.promise;
  const { spill } = spillBeside(keeper);
  const store = spill.store("a", LIMITS);
  await pourUntilKept(store, keeper);
  const { count } = store;
  const { asked } = keeper;
  spill.addressVacated(HOLDER);
  acknowledging.resolve();
  await pour(store, count, count + 4_000); // writers are told of a loss
  expect(keeper.asked).toBeGreaterThan(asked);
  expect(store.stats().tiers.remoteDisk.records).toBeGreaterThan(count);
});

test("a store that lost all of its holders leaves no timer behind when it is closed", async () => {
  const keeper = new Keeper();
  const { spill, clock } = spillBeside(keeper);
  const store = spill.store("a", LIMITS);
  await pour(store, 0, 2_000);
  expect(store.stats().tiers.remoteDisk.records).toBeGreaterThan(100);
  keeper.start = 2n; // another process
  spill.addressVacated(HOLDER);
  await until(() => keeper.asked > 1);
  await store.close();
  clock.pass(60_000);
  expect(clock.timers.size).toBe(0);
});

test("a store is closed while a segment is fetched: it is closed, not lost, for readers and for at", async () => {
  const keeper = new Keeper();
  const { spill } = spillBeside(keeper);
  const store = spill.store("a", LIMITS);
  await pour(store, 0, 2_000);
  const { localMemory } = store.stats().tiers;
  const from = localMemory.records + 100;
  expect(await checkAll(store, 100, from)).toBe(2_000 - from);
  const fetching = Promise.withResolvers<void>();
  keeper.fetching = fetching.promise;
  keeper.fetches = 0;
  const reads = [
    store.reader({ from }).batches().next(),
    store.at(from),
    store.arrowFiles().next(),
  ];
  const told = Promise.all(reads.map((read) => (read as Promise<unknown>).catch(codeOf)));
  await until(() => keeper.fetches >= 2);
  await store.close();
  await until(() => keeper.kept.size === 0);
  fetching.resolve();
  const [reader, at] = await told;
  expect([reader, at]).toEqual(["not_found", "not_found"]);
});

test("an iteration is not dropped while somebody waits for its step, whatever the collector does", async () => {
  const keeper = new Keeper();
  const { spill, clock } = spillBeside(keeper);
  const store = spill.store("a", LIMITS);
  await pour(store, 0, 2_000);
  const remote = () => (store as Store).catalog.segments.find(({ place }) => isRemote(place));
  await until(() => remote() !== undefined);
  const from = remote()?.first ?? 0;
  const fetching = Promise.withResolvers<void>();
  keeper.fetching = fetching.promise;
  keeper.fetches = 0;
  const steps = Array.from({ length: 20 }, () => store.reader({ from }).batches().next());
  await until(() => keeper.fetches === 20);
  for (let i = 0; i < 5; i++) {
    Bun.gc(true);
    await Bun.sleep(5);
  }
  clock.pass(LIMITS.expiryMs + 1); // it would expire if nobody used it
  fetching.resolve();
  for (const { done } of await Promise.all(steps)) expect(done).toBe(false);
});

test("records that are asked for at once come in order, none left out, across batches", async () => {
  const store = spillOf().store("a", { memoryBytes: 256 << 10, diskBytes: 0 });
  const records = Array.from({ length: 1_500 }, (_, i) => `record ${i}`.padEnd(100));
  await using writer = store.writer();
  await writer.appendAll(records);
  expect(store.stats().tiers.localMemory.segments).toBeGreaterThan(3);
  const iteration = store.reader()[Symbol.asyncIterator]();
  const text = ({ value, done }: IteratorResult<Uint8Array>) =>
    done ? null : Buffer.from(value).toString();
  const got: (string | null)[] = [];
  for (let asked = 0; asked < records.length; asked += 3) {
    got.push(...(await Promise.all([1, 2, 3].map(async () => text(await iteration.next())))));
  }
  expect(got).toEqual(records);
  expect(text(await iteration.next())).toBeNull();
});

test("an iteration that was left gives nothing more", async () => {
  const store = spillOf().store("a");
  await pour(store, 0, 10);
  const iteration = store.reader()[Symbol.asyncIterator]();
  await iteration.next();
  await iteration.return?.();
  expect((await iteration.next()).done).toBe(true);
});

test("a file that the system does not map is an error that names the records, and what is behind it can be read", async () => {
  const files = new FakeFiles();
  const store = spillOf({ files }).store("a", { memoryBytes: 0, diskBytes: 1 << 20 });
  await pour(store, 0, 3_000);
  const [broken] = files.files as [FakeFile];
  broken.map = () => {
    throw systemError("ENOMEM");
  };
  const error = await checkAll(store).catch((thrown: unknown) => thrown);
  expect(codeOf(error)).toBe("data_lost");
  const { lost, message } = error as HedgerowError;
  expect(message).toContain("ENOMEM");
  expect(lost?.from).toBe(0);
  expect(await checkAll(store, 100, lost?.to)).toBe(3_000 - (lost?.to ?? 0));
});

test("P6: what a reader looks at on disk stays while its store is closed; the space is free once it goes on, leaves, or is dropped", async () => {
  using folder = new Folder();
  const spill = spillOf({ folder: folder.path });
  const open = (count: number) => until(() => unlinkedFiles(folder.path).length === count);
  const begun = async (name: string) => {
    const store = spill.store(name, { memoryBytes: 0, diskBytes: 1 << 20 });
    await pour(store, 0, 6_000);
    await until(() => store.stats().tiers.localMemory.segments === 1);
    const steps = store.reader()[Symbol.asyncIterator]();
    expect((await steps.next()).value).toEqual(record(0));
    await store.close();
    return { store, steps };
  };
  const { steps } = await begun("goes on");
  await open(1);
  for (let i = 1; i < 500; i++) expect((await steps.next()).value).toEqual(record(i));
  const told = async () => {
    for (;;) if ((await steps.next()).done === true) return "done";
  };
  expect(await told().catch(codeOf)).toBe("not_found");
  await open(0);

  const { steps: left } = await begun("leaves");
  await open(1);
  await left.return?.();
  await open(0);

  await begun("is dropped");
  await until(() => {
    Bun.gc(true);
    return unlinkedFiles(folder.path).length === 0;
  });

  const store = spill.store("files", { memoryBytes: 0, diskBytes: 1 << 20 });
  await pour(store, 0, 6_000);
  await until(() => store.stats().tiers.localMemory.segments === 1);
  const files = store.arrowFiles();
  const { value: file = new Uint8Array() } = await files.next();
  await store.close();
  expect(Buffer.from(file.subarray(0, 6)).toString()).toBe("ARROW1");
  expect(await files.next().catch(codeOf)).toBe("not_found");
  await open(0);
});

test("a scratch file that is closed while it is pinned is as it was until the last pin; its number is given back once", async () => {
  using folder = new Folder();
  const file = systemScratch(folder.path).create();
  await file.write([new Uint8Array(5_000).fill(7)]);
  const view = file.map();
  file.pin();
  file.pin();
  file.close();
  file.unpin();
  expect(view.every((byte) => byte === 7)).toBe(true);
  file.unpin();
  expect(view.every((byte) => byte === 0)).toBe(true);
  await until(() => unlinkedFiles(folder.path).length === 0);
  const next = systemScratch(folder.path).create(); // which may get its number
  file.pin();
  file.unpin();
  file.close();
  await next.write([new Uint8Array(10)]);
  expect(next.map().length).toBe(10);
  next.close();
});

test("a scratch file that is closed is not mapped: its number may be another file's", async () => {
  using folder = new Folder();
  const file = systemScratch(folder.path).create();
  await file.write([new Uint8Array(10)]);
  expect(file.map().length).toBe(10);
  file.close();
  expect(() => file.map()).toThrow("closed");
});

test("leases are renewed in time, however often another store finds its first place elsewhere", async () => {
  const keeper = new Keeper();
  const { spill, clock } = spillBeside(keeper);
  const limits = { ...LIMITS, expiryMs: 30_000 };
  await using first = spill.store("first", limits);
  await using _ = first.writer();
  await pour(first, 0, 2_000);
  for (let i = 0; i < 6; i++) {
    clock.pass(4_000);
    await pour(spill.store(`other ${i}`, limits), 0, 2_000);
  }
  expect(keeper.renewals).toBeGreaterThanOrEqual(2);
  await spill.stop();
});
