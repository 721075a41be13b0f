import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { isRemote } from "../../src/spill/catalog.ts";
import { FETCH, KEEP } from "../../src/spill/remote/wire.ts";
import type { Store } from "../../src/spill/store.ts";
import { Keeper, spillBeside } from "./keeper.ts";
import { Folder, pour, record, until } from "./kit.ts";
import { type SpillNode, spillNodes } from "./nodes.ts";

// Whoever leaves waits for no other node, and what is under way for nobody ends there, too.

const MB = 1 << 20;
const RECORD_BYTES = 1_000;

const outcome = (step: Promise<unknown>) =>
  step.then(
    (value) => (isStep(value) ? (value.done ?? false) : value),
    (error: unknown) => (HedgerowError.is(error) ? error.code : error),
  );

const isStep = (value: unknown): value is IteratorResult<unknown> =>
  typeof value === "object" && value !== null && "done" in value;

interface Scene {
  readonly store: SpillStore;
  /** Of a record that the other node keeps. */
  readonly from: number;
  readonly leaving: AbortController;
}

interface Way {
  readonly step: Promise<unknown>;
  leave(): unknown;
  /** A code, or whether an iteration is done. */
  readonly told: string | boolean;
}

/** What is begun, how it is left, and what it is told. */
const WAYS: Readonly<Record<string, (scene: Scene) => Way>> = {
  "a reader of batches is left": ({ store, from }) => {
    const batches = store.reader({ from }).batches();
    return { step: batches.next(), leave: () => batches.return?.(), told: true };
  },
  "a reader of records is left": ({ store, from }) => {
    const records = store.reader({ from })[Symbol.asyncIterator]();
    return { step: records.next(), leave: () => records.return?.(), told: true };
  },
  "a reader's signal aborts": ({ store, from, leaving }) => ({
    step: store.reader({ from, signal: leaving.signal }).batches().next(),
    leave: () => leaving.abort(),
    told: "canceled",
  }),
  "a reader's store is closed": ({ store, from }) => ({
    step: store.reader({ from }).batches().next(),
    leave: () => store.close(),
    told: "not_found",
  }),
  "a signal of `at` aborts": ({ store, from, leaving }) => ({
    step: store.at(from, { signal: leaving.signal }),
    leave: () => leaving.abort(),
    told: "canceled",
  }),
  "the store of `at` is closed": ({ store, from }) => ({
    step: store.at(from),
    leave: () => store.close(),
    told: "not_found",
  }),
  "a reader that has read some is left": ({ store, from }) => {
    const batches = store.reader({ from: from - 1 }).batches();
    return { step: batches.next(), leave: () => batches.return?.(), told: false };
  },
  "the store of a writer is closed": ({ store }) => ({
    step: pour(store, store.count, store.count + 5_000, RECORD_BYTES),
    leave: () => store.close(),
    told: "not_found",
  }),
  "the store of files is closed": ({ store }) => ({
    step: Array.fromAsync(store.arrowFiles()),
    leave: () => store.close(),
    told: "not_found",
  }),
};

const CASES = Object.entries(WAYS).flatMap(([what, way]) =>
  (["opening", "replies"] as const).map((from) => ({ what, way, from })),
);

for (const { what, way, from: stall } of CASES) {
  test(`${what} while the other node stands still from the ${stall} on: both sides end at once`, async () => {
    using folder = new Folder();
    const room = { memoryBytes: 4 * MB, diskBytes: 2 * MB };
    await using cluster = await spillNodes(2, { ...room, folder: folder.path, patient: true });
    const [owner, holder] = cluster.nodes as [SpillNode, SpillNode];
    const store = owner.spill.store("a");
    await pour(store, 0, 7_500, RECORD_BYTES);
    const { segments } = (store as Store).catalog;
    const from = segments.find(({ place }) => isRemote(place))?.first ?? 0;
    expect(from).toBeGreaterThan(3_000);
    const stalls = what.includes("writer") ? KEEP : FETCH;
    holder.stall(stalls, stall);
    const { step, leave, told } = way({ store, from, leaving: new AbortController() });
    const settled = outcome(step);
    await until(() => holder.stalled > 0);
    // Else it would wait for the time of a segment, or of a node: for ever.
    await leave();
    expect(await settled).toBe(told);
    await until(() => holder.stalled === 0);
    await store.close();
  });
}

test("a store is closed while nobody says who has room: it waits for no answer", async () => {
  const keeper = new Keeper();
  keeper.answering = new Promise(() => {});
  const { spill } = spillBeside(keeper);
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  const poured = outcome(pour(store, 0, 3_000));
  await until(() => keeper.asked > 0);
  await store.close();
  expect(await poured).toBe("not_found");
});

test("records of one segment that are asked for one by one, or at once, are fetched once; it is not kept for long", async () => {
  const keeper = new Keeper();
  const { spill, clock } = spillBeside(keeper);
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  await using _ = store.writer();
  await pour(store, 0, 3_000);
  const remote = keeper.kept.size;
  expect(remote).toBeGreaterThan(2);
  keeper.fetches = 0;
  for (let i = 0; i < 3_000; i++) expect(await store.at(i)).toEqual(record(i));
  expect(keeper.fetches).toBe(remote);

  clock.pass(2_000);
  keeper.fetches = 0;
  const index = 500;
  await Promise.all(Array.from({ length: 20 }, (_, i) => store.at(index + (i % 3))));
  expect(keeper.fetches).toBe(1);
  clock.pass(900);
  await store.at(index);
  clock.pass(900);
  await store.at(index);
  expect(keeper.fetches).toBe(1);
  const timers = clock.timers.size;
  clock.pass(1_100);
  expect(clock.timers.size).toBe(timers - 1);
  await store.at(index);
  expect(keeper.fetches).toBe(2);
  await store.close();
  await spill.stop();
  expect(clock.timers.size).toBe(0);
});

test("one that leaves ends nobody else's read of the same segment; a fetch that failed is tried again", async () => {
  const keeper = new Keeper();
  const { spill } = spillBeside(keeper);
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  await pour(store, 0, 3_000);
  const fetching = Promise.withResolvers<void>();
  keeper.fetching = fetching.promise;
  keeper.fetches = 0;
  const leaving = new AbortController();
  const left = outcome(store.at(500, { signal: leaving.signal }));
  const stays = store.at(501);
  await until(() => keeper.fetches > 0);
  leaving.abort();
  expect(await left).toBe("canceled");
  fetching.resolve();
  expect(await stays).toEqual(record(501));
  expect(keeper.fetches).toBe(1);

  const { segments } = (store as Store).catalog;
  const last = segments.findLast(({ place }) => isRemote(place));
  const index = last?.first ?? 0;
  const id = last !== undefined && "id" in last.place ? last.place.id : -1;
  const bytes = keeper.kept.get(id) as Uint8Array;
  keeper.kept.set(id, new Uint8Array(bytes.length));
  expect(await outcome(store.at(index))).toBe("data_lost");
  keeper.kept.set(id, bytes);
  expect(await store.at(index)).toEqual(record(index));
});

test("records of many segments that are asked for at once: few segments are fetched at a time, and none for who has left", async () => {
  const keeper = new Keeper();
  const { spill } = spillBeside(keeper);
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  await pour(store, 0, 9_000);
  const { segments } = (store as Store).catalog;
  const indexes = segments.filter(({ place }) => isRemote(place)).map(({ first }) => first);
  expect(indexes.length).toBeGreaterThan(8);
  const fetching = Promise.withResolvers<void>();
  keeper.fetching = fetching.promise;
  keeper.fetches = 0;
  const leaving = new AbortController();
  const leaves = 5; // while it waits for its turn
  const reads = indexes.map((index, i) =>
    outcome(store.at(index, i === leaves ? { signal: leaving.signal } : {})),
  );
  await until(() => keeper.fetches === 4);
  await Bun.sleep(20);
  expect(keeper.fetches).toBe(4);
  leaving.abort();
  fetching.resolve();
  expect(await Promise.all(reads)).toEqual(
    indexes.map((index, i) => (i === leaves ? "canceled" : record(index))),
  );
  expect(keeper.fetches).toBe(indexes.length - 1);
});

test("a store is closed while reads of single records wait for their turn: all of them hear of it", async () => {
  const keeper = new Keeper();
  const { spill, clock } = spillBeside(keeper);
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  await pour(store, 0, 9_000);
  const { segments } = (store as Store).catalog;
  const indexes = segments.filter(({ place }) => isRemote(place)).map(({ first }) => first);
  const fetching = Promise.withResolvers<void>();
  keeper.fetching = fetching.promise;
  keeper.fetches = 0;
  const reads = indexes.map((index) => outcome(store.at(index)));
  await until(() => keeper.fetches === 4);
  await store.close();
  fetching.resolve();
  expect(new Set(await Promise.all(reads))).toEqual(new Set(["not_found"]));
  await spill.stop();
  expect(clock.timers.size).toBe(0);
});
