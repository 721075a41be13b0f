import { expect, test } from "bun:test";
import fc from "fast-check";
import { HedgerowError } from "../../src/errors.ts";
import { checkAll, clock, FakeFiles, Folder, pour, record, spillOf, until } from "./kit.ts";

const codeOf = (error: unknown) => (HedgerowError.is(error) ? error.code : error);
const codeOfCall = (call: () => unknown) => {
  try {
    return call();
  } catch (error) {
    return codeOf(error);
  }
};

test("records come back in order, from memory and from disk, twice and by index", async () => {
  using folder = new Folder();
  const spill = spillOf({ folder: folder.path });
  const store = spill.store("a", { memoryBytes: 256 << 10, diskBytes: 4 << 20 });
  await pour(store, 0, 20_000);
  expect(store.count).toBe(20_000);
  expect(await checkAll(store)).toBe(20_000);
  expect(await checkAll(store)).toBe(20_000);
  const { tiers, records, bytes } = store.stats();
  expect([records, bytes]).toEqual([20_000, 2_000_000]);
  expect(tiers.localMemory.records).toBeGreaterThan(500);
  expect(tiers.localDisk.records).toBeGreaterThan(12_000); // the rest: three segments of 256 KiB
  for (const index of [0, 1, 999, 12_345, 19_999]) {
    expect(await store.at(index)).toEqual(record(index));
  }
  let i = 12_345;
  for await (const got of store.reader({ from: i })) expect(got).toEqual(record(i++));
  expect(i).toBe(20_000);
  await store.close();
  expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
});

test("what is neither bytes nor text is refused, and leaves what is there as it was", async () => {
  const store = spillOf({ files: new FakeFiles() }).store("a");
  await using writer = store.writer();
  await writer.append("first");
  for (const given of [5, [1, 2], null, undefined, { length: 3 }]) {
    expect(codeOfCall(() => writer.append(given as never))).toBe("invalid_argument");
  }
  await writer.append("second");
  const texts: string[] = [];
  for await (const got of store.reader()) texts.push(new TextDecoder().decode(got));
  expect(texts).toEqual(["first", "second"]);
});

test("records of all lengths, against a plain array", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 400 }),
      fc.nat(60_000),
      async (records, memoryBytes) => {
        const files = new FakeFiles();
        const spill = spillOf({ files });
        const store = spill.store("a", { memoryBytes, diskBytes: 1 << 20 });
        await using writer = store.writer();
        for (const one of records) await writer.append(one);
        const got: Uint8Array[] = [];
        for await (const one of store.reader()) got.push(one.slice());
        expect(got).toEqual(records);
        await store.close();
        expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
      },
    ),
    { numRuns: 60 },
  );
});

test("text, empty records, and one of exactly the limit", async () => {
  using folder = new Folder();
  const store = spillOf({ folder: folder.path }).store("a", { memoryBytes: 0, diskBytes: 1 << 20 });
  await using writer = store.writer();
  const most = record(1, store.maxRecordBytes);
  await writer.appendAll(["ä", "", most, "", "z", most]);
  const got = await Array.fromAsync(store.reader(), (one) => one.slice());
  expect(got).toEqual(
    [Buffer.from("ä"), "", most, "", "z", most].map(
      (x) => new Uint8Array(Buffer.from(x as string)),
    ),
  );
  expect(codeOfCall(() => writer.append(new Uint8Array(store.maxRecordBytes + 1)))).toBe(
    "too_large",
  );
  expect(store.count).toBe(6);
});

test("nothing but empty records, enough for many segments", async () => {
  const files = new FakeFiles();
  const store = spillOf({ files }).store("a", { memoryBytes: 20_000, diskBytes: 200_000 });
  await using writer = store.writer();
  for (let i = 0; i < 10_000; i++) await writer.append("");
  let count = 0;
  for await (const batch of store.reader().batches()) {
    for (const one of batch) count += one.length + 1;
  }
  expect(count).toBe(10_000);
  expect(files.files.length).toBeGreaterThan(2);
});

test("reading from memory copies nothing: batches are views of one buffer, the same each time", async () => {
  const store = spillOf().store("a", { memoryBytes: 16 << 20 });
  await pour(store, 0, 5_000);
  const buffers = new Set<ArrayBufferLike>();
  for (let pass = 0; pass < 2; pass++) {
    for await (const batch of store.reader().batches()) {
      buffers.add(batch.values.buffer);
      expect(batch.at(7).buffer).toBe(batch.values.buffer);
    }
  }
  expect(buffers.size).toBe(1);
});

test("P1: several writers append in turn", async () => {
  const store = spillOf({ files: new FakeFiles() }).store("a", {
    memoryBytes: 0,
    diskBytes: 1 << 20,
  });
  await pour(store, 0, 3_000);
  await pour(store, 3_000, 6_000);
  await using one = store.writer();
  await using other = store.writer();
  for (let i = 6_000; i < 9_000; i++) await (i % 2 === 0 ? one : other).append(record(i));
  expect(await checkAll(store)).toBe(9_000);
});

test("P1: writers append at once: each waits for itself alone, and all records stand in the order of the calls", async () => {
  const spill = spillOf({ files: new FakeFiles() });
  const store = spill.store("a", { memoryBytes: 0, diskBytes: 1 << 20 });
  const calls: number[] = [];
  let waited = 0;
  const pourOf = async (writer: number) => {
    await using open = store.writer();
    for (let i = 0; i < 1_000; i++) {
      const number = writer * 1_000 + i;
      calls.push(number);
      // Of several lengths, so that a short one could pass a long one that waits.
      const taken = open.append(record(number, 20 + ((number * 7) % 400)));
      if (taken !== undefined) waited++;
      await taken;
    }
  };
  await Promise.all([0, 1, 2, 3].map(pourOf));
  expect(waited).toBeGreaterThan(20);
  const numberOf = (one: Uint8Array) => new DataView(one.buffer, one.byteOffset).getUint32(0);
  expect(await Array.fromAsync(store.reader(), numberOf)).toEqual(calls);
  await store.close();
  expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
});

test("writers that wait when the store is closed hear of it, each", async () => {
  const spill = spillOf({ files: new FakeFiles() });
  const store = spill.store("a", { memoryBytes: 0, diskBytes: 1 << 20 });
  const writers = Array.from({ length: 3 }, () => store.writer());
  const waits: (Promise<void> | undefined)[] = [];
  for (let i = 0; waits.length === 0; i++) {
    const taken = writers[0]?.append(record(i));
    if (taken !== undefined) waits.push(taken);
  }
  for (const writer of writers.slice(1)) waits.push(writer.append("x"));
  const told = Promise.all(waits.map((wait) => wait?.catch(codeOf)));
  await store.close();
  expect(await told).toEqual(["not_found", "not_found", "not_found"]);
  expect([spill.memory.used, spill.disk.used]).toEqual([0, 0]);
});

test("an append that was not awaited is refused the next record, and loses none", async () => {
  const store = spillOf({ files: new FakeFiles() }).store("a", {
    memoryBytes: 0,
    diskBytes: 1 << 20,
  });
  await using writer = store.writer();
  let waits: Promise<void> | undefined;
  let i = 0;
  while (waits === undefined) waits = writer.append(record(i++));
  expect(codeOfCall(() => writer.append(record(i)))).toBe("overloaded");
  expect(codeOfCall(() => writer.append(new Uint8Array(0)))).toBe("overloaded");
  await waits;
  await writer.append(record(i++));
  expect(await checkAll(store)).toBe(i);
});

test("a reader ends with what was there when it began, and another one sees the rest", async () => {
  const store = spillOf().store("a");
  await pour(store, 0, 10);
  const iteration = store.reader()[Symbol.asyncIterator]();
  await iteration.next();
  await pour(store, 10, 20);
  let count = 1;
  while (!(await iteration.next()).done) count++;
  expect(count).toBe(10);
  expect(await checkAll(store)).toBe(20);
});

test("the same name is the same store; other limits are refused; after close the name is new", async () => {
  const spill = spillOf();
  const store = spill.store("a", { memoryBytes: 1 << 20 });
  expect(spill.store("a")).toBe(store);
  expect(spill.store("a", { memoryBytes: 1 << 20 })).toBe(store);
  expect(codeOfCall(() => spill.store("a", { memoryBytes: 2 << 20 }))).toBe("other_limit");
  await pour(store, 0, 10);
  await store.close();
  await store.close();
  const again = spill.store("a", { memoryBytes: 2 << 20 });
  expect(again).not.toBe(store);
  expect(again.count).toBe(0);
});

test("P7: unknown and closed names, closed writers", async () => {
  const spill = spillOf();
  expect(codeOfCall(() => spill.find("a"))).toBe("not_found");
  expect(codeOfCall(() => spill.find(""))).toBe("invalid_argument");
  expect(codeOfCall(() => spill.store(""))).toBe("invalid_argument");
  expect(codeOfCall(() => spill.store("a", { diskBytes: -1 }))).toBe("invalid_argument");
  expect(codeOfCall(() => spill.store("a", { expiryMs: 1 }))).toBe("invalid_argument");
  expect(codeOfCall(() => spill.store("a", { expiryMs: 500.5 }))).toBe("invalid_argument");
  const store = spill.store("a");
  const writer = store.writer();
  await writer.append("x");
  await writer.close();
  expect(codeOfCall(() => writer.append("y"))).toBe("not_found");
  const open = store.writer();
  const iteration = store.reader()[Symbol.asyncIterator]();
  await iteration.next();
  expect(await store.at(1).catch(codeOf)).toBe("invalid_argument");
  await store.close();
  expect(codeOfCall(() => open.append("y"))).toBe("not_found");
  expect(codeOfCall(() => store.writer())).toBe("not_found");
  expect(codeOfCall(() => store.reader())).toBe("not_found");
  expect(await store.at(0).catch(codeOf)).toBe("not_found");
  expect(await iteration.next().catch(codeOf)).toBe("not_found");
  const another = spill.store("b");
  const last = another.writer();
  await last.append("x");
  const reading = another.reader()[Symbol.asyncIterator]();
  await spill.stop();
  expect(codeOfCall(() => spill.store("b"))).toBe("stopped");
  expect(codeOfCall(() => spill.find("b"))).toBe("stopped");
  expect(codeOfCall(() => last.append("y"))).toBe("stopped");
  expect(await reading.next().catch(codeOf)).toBe("stopped");
});

test("a store expires after its last reference, and not before", async () => {
  const spill = spillOf();
  const store = spill.store("a", { expiryMs: 100 });
  const writer = store.writer();
  await writer.append("x");
  const began = clock.now();
  await until(() => clock.now() - began > 200);
  expect(spill.find("a")).toBe(store);
  const iteration = store.reader()[Symbol.asyncIterator]();
  await iteration.next();
  await writer.close();
  const closed = clock.now();
  await until(() => clock.now() - closed > 200);
  expect(spill.find("a")).toBe(store);
  await iteration.return?.();
  const returned = clock.now();
  await until(() => codeOfCall(() => spill.find("a")) === "not_found");
  expect(clock.now() - returned).toBeGreaterThan(95);
  expect(spill.memory.used).toBe(0);
});

test("P6: a reader that is dropped half-way keeps nothing alive", async () => {
  const spill = spillOf();
  const store = spill.store("a", { expiryMs: 100 });
  await pour(store, 0, 100);
  const drop = async () => {
    const iteration = store.reader()[Symbol.asyncIterator]();
    await iteration.next();
  };
  for (let i = 0; i < 10; i++) await drop();
  await until(() => {
    Bun.gc(true);
    return codeOfCall(() => spill.find("a")) === "not_found";
  });
  expect(spill.memory.used).toBe(0);
});

test("an iteration that is left before its first step is no reference; one that is cancelled says so", async () => {
  const spill = spillOf();
  const store = spill.store("a", { expiryMs: 100 });
  await pour(store, 0, 10);
  const stop = new AbortController();
  const iteration = store.reader({ signal: stop.signal })[Symbol.asyncIterator]();
  await iteration.next();
  stop.abort();
  const rest = Array.fromAsync({ [Symbol.asyncIterator]: () => iteration });
  expect(await rest.catch(codeOf)).toBe("canceled");
  await store.reader().batches().return?.();
  await until(() => codeOfCall(() => spill.find("a")) === "not_found");
});

test("P6: what a slow reader looks at stays, while the store goes on and closes", async () => {
  const spill = spillOf({ files: new FakeFiles() });
  const store = spill.store("a", { memoryBytes: 256 << 10, diskBytes: 4 << 20 });
  await pour(store, 0, 200);
  const batches = store.reader().batches();
  const { value: batch } = await batches.next();
  await pour(store, 200, 10_000);
  await store.close();
  const next = spill.store("b", { memoryBytes: 256 << 10, diskBytes: 4 << 20 });
  await pour(next, 50, 10_000);
  expect(batch?.length).toBe(200);
  for (let i = 0; i < 200; i++) expect(batch?.at(i)).toEqual(record(i));
  expect(await batches.next().catch(codeOf)).toBe("not_found");
});
