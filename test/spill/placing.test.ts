import { expect, test } from "bun:test";
import fc from "fast-check";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { FakeElsewhere, type Put, storeBeside } from "./elsewhere.ts";
import { Keeper, spillBeside } from "./keeper.ts";
import { checkAll, FakeFiles, pour, record, systemError, until } from "./kit.ts";

const KB = 1 << 10;
const SMALL = { memoryBytes: 0, diskBytes: 64 * KB }; // segments of 4 KiB

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function numbersIn(store: SpillStore): Promise<number[]> {
  const numbers: number[] = [];
  for await (const got of store.reader()) {
    numbers.push(new DataView(got.buffer, got.byteOffset).getUint32(0));
  }
  return numbers;
}

test("P1: records stand in the order of the calls, whatever finds a place when; all is given back", async () => {
  const action = fc.constantFrom("keep", "keep", "refuse", "turn", "disk", "no disk");
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.constantFrom(0, 8 * KB, 20 * KB),
      fc.array(fc.nat({ max: 2_000 }), { minLength: 80, maxLength: 160 }),
      fc.array(fc.tuple(action, fc.nat()), { minLength: 5, maxLength: 60 }),
      fc.boolean(),
      async (writers, memoryBytes, sizes, actions, closesEarly) => {
        const elsewhere = new FakeElsewhere();
        const files = new FakeFiles();
        const { store, memory, disk } = storeBeside(
          elsewhere,
          { memoryBytes, diskBytes: 12 * KB },
          files,
        );
        const called: number[] = [];
        const refused = new Set<number>();
        let next = 0;
        const write = async () => {
          await using writer = store.writer();
          while (next < sizes.length) {
            const i = next++;
            called.push(i);
            try {
              await writer.append(record(i, sizes[i]));
            } catch (error) {
              if (!HedgerowError.is(error, "no_space", "not_found")) throw error;
              refused.add(i);
              if (error.code === "not_found") return;
            }
          }
        };
        let over = false;
        const writing = Promise.all(Array.from({ length: writers }, write)).finally(() => {
          over = true;
        });
        for (let step = 0; !over; step++) {
          const [what, which] = actions[step % actions.length] as (typeof actions)[number];
          const put = elsewhere.waiting[which % (elsewhere.waiting.length || 1)];
          expect(elsewhere.waiting.length).toBeLessThanOrEqual(2);
          if (what === "keep" || (what === "refuse" && step > 500)) put?.keep();
          else if (what === "refuse") put?.refuse();
          else if (what === "disk") files.failure = null;
          else if (what === "no disk") files.failure = systemError("ENOSPC");
          else if (closesEarly && step > 40) break;
          await turn();
          if (step > 500) put?.keep();
        }
        if (closesEarly) {
          await store.close();
          await writing;
        } else {
          await writing;
          while (elsewhere.waiting.length > 0) {
            elsewhere.waiting[0]?.keep();
            await turn();
          }
          expect(await numbersIn(store)).toEqual(called.filter((i) => !refused.has(i)));
          await store.close();
        }
        expect([memory.used, disk.used]).toEqual([0, 0]);
        expect(files.files.every(({ closed }) => closed)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
}, 90_000);

/** Fills the store until two segments wait for their places, and a third is full. */
async function twoUnderWay(elsewhere: FakeElsewhere, limits = SMALL) {
  const { store, memory, disk } = storeBeside(elsewhere, { ...limits, diskBytes: 64 * KB });
  const writer = store.writer();
  for (;;) {
    const waits = writer.append(record(store.count, 1_000));
    if (waits === undefined) continue;
    let isTaken = false;
    waits.then(
      () => {
        isTaken = true;
      },
      () => {},
    );
    await until(() => isTaken || elsewhere.waiting.length === 2);
    if (isTaken) continue;
    return { store, memory, disk, writer, waits };
  }
}

/** Answers puts until the append is over; its error, or null. */
async function answering(
  elsewhere: FakeElsewhere,
  append: Promise<void> | undefined,
  answer: (put: Put) => void,
): Promise<HedgerowError | null> {
  let end: HedgerowError | null | undefined;
  Promise.resolve(append).then(
    () => {
      end = null;
    },
    (error: unknown) => {
      end = HedgerowError.from(error);
    },
  );
  while (end === undefined) {
    for (const put of [...elsewhere.waiting]) answer(put);
    await turn();
  }
  return end;
}

test("P4: of two segments without a place one finds one: the writer goes on when the other does, too", async () => {
  const elsewhere = new FakeElsewhere();
  const { store, writer, waits, memory } = await twoUnderWay(elsewhere);
  const { count } = store;
  const full = await answering(elsewhere, waits, (put) => put.refuse());
  expect(full?.code).toBe("no_space");
  expect(full?.message).toContain("no other node has room): close stores, or raise the limits");
  // One record more would do; each append tries the segments again, until one has no place still.
  let asked = 0;
  const still = await answering(elsewhere, writer.append(record(count, 1_000)), (put) =>
    ++asked === 1 ? put.keep() : put.refuse(),
  );
  expect(still?.code).toBe("no_space");
  expect([asked, elsewhere.kept.size, store.count]).toEqual([2, 1, count]);
  for (let i = count; i < count + 40; i++) {
    const none = await answering(elsewhere, writer.append(record(i, 1_000)), (put) => put.keep());
    expect(none).toBeNull();
  }
  for (const put of [...elsewhere.waiting]) put.keep();
  await until(() => elsewhere.kept.size >= 10);
  expect(await numbersIn(store)).toEqual(Array.from({ length: count + 40 }, (_, i) => i));
  await store.close();
  expect(memory.used).toBe(0);
});

test("P6: closing while two segments are under way and writers wait: all are told, all is given back", async () => {
  const elsewhere = new FakeElsewhere();
  const { store, memory, waits } = await twoUnderWay(elsewhere);
  const others = Array.from({ length: 5 }, () => store.writer().append(record(0, 10)));
  expect(others.every((other) => other instanceof Promise)).toBe(true);
  const ends = Promise.allSettled([waits, ...others]);
  await store.close();
  for (const end of await ends) {
    expect(end).toMatchObject({ status: "rejected", reason: { code: "not_found" } });
  }
  expect([memory.used, elsewhere.waiting.length]).toEqual([0, 0]);
});

test("while a segment is sent, appends leave the event loop its turns", async () => {
  const elsewhere = new FakeElsewhere();
  const clock = new ManualClock();
  const limits = { memoryBytes: 0, diskBytes: 128 << 20 }; // segments of 8 MiB
  const { store } = storeBeside(elsewhere, limits, null, clock);
  await using writer = store.writer();
  for (let i = 0; elsewhere.waiting.length === 0; i++) {
    expect(writer.append(record(i, 1_000))).toBeUndefined();
    if (i % 100 === 0) await turn();
  }
  const from = store.count;
  let pauses = 0;
  for (let i = from; i < from + 4_000; i++) {
    const appended = writer.append(record(i, 1_000));
    if (appended === undefined) continue;
    pauses++;
    let isOver = false;
    void appended.then(() => {
      isOver = true;
    });
    await turn();
    expect(isOver).toBe(false); // before a timer says so, behind what else is due
    clock.pass(0);
    await appended;
  }
  expect(pauses).toBeWithin(4, 65); // at each MB at the least, and not so often that it costs
  expect(elsewhere.waiting.length).toBe(1);
  elsewhere.waiting[0]?.keep();
  await until(() => elsewhere.waiting.length === 0);
  expect(await checkAll(store, 1_000)).toBe(from + 4_000);
  await store.close();
});

test("P8: who looks at a segment as a file while it is filled does not spoil its checksum", async () => {
  const elsewhere = new FakeElsewhere();
  const { store } = storeBeside(elsewhere, { memoryBytes: 0, diskBytes: 16 << 20 });
  await using writer = store.writer();
  for (let i = 0; i < 3_000; i++) {
    const waits = writer.append(record(i, 1_000));
    if (i % 200 === 0)
      for await (const file of store.arrowFiles()) expect(file.length).toBeGreaterThan(0);
    elsewhere.waiting[0]?.keep();
    await waits;
  }
  expect(elsewhere.kept.size).toBeGreaterThan(1);
  expect(await checkAll(store, 1_000)).toBe(3_000);
  await store.close();
});

test("P8: what is fetched in pieces, and anew after an attempt that failed, is what was sent; a bit that differs is found", async () => {
  const elsewhere = new FakeElsewhere();
  const { store } = storeBeside(elsewhere, { memoryBytes: 0, diskBytes: 16 << 20 }); // of 1 MiB
  await using writer = store.writer();
  for (let i = 0; elsewhere.kept.size === 0; i++) {
    const waits = writer.append(record(i, 1_000));
    elsewhere.waiting[0]?.keep();
    await waits;
    if (i % 100 === 0) await turn();
  }
  const [bytes = new Uint8Array(0)] = elsewhere.kept.values();
  const pieces = fc.array(fc.integer({ min: 1, max: 700_000 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(pieces, { minLength: 1, maxLength: 3 }),
      fc.option(fc.nat({ max: bytes.length - 1 })),
      fc.nat({ max: 7 }),
      async (attempts, flipped, bit) => {
        elsewhere.bring = (sent, into, onBytes) => {
          for (const [n, lengths] of attempts.entries()) {
            const isLast = n === attempts.length - 1;
            let at = 0;
            onBytes(0);
            for (const length of isLast ? [...lengths, sent.length] : lengths) {
              const piece = sent.slice(at, at + length);
              if (!isLast) piece.fill(n); // of another segment, say
              into.set(piece, at);
              at = Math.min(sent.length, at + length);
              if (isLast && flipped !== null && at > flipped && at - piece.length <= flipped) {
                into[flipped] = (into[flipped] as number) ^ (1 << bit);
              }
              onBytes(at);
            }
          }
        };
        const first = await store
          .reader()
          .batches()
          .next()
          .catch((error: unknown) => (error as HedgerowError).code);
        if (flipped === null) expect(first).toMatchObject({ done: false });
        else expect(first).toBe("data_lost");
      },
    ),
    { numRuns: 60 },
  );
  await store.close();
});

test("a node whose connection breaks has its room as before: it is asked again", async () => {
  const keeper = new Keeper();
  const { spill } = spillBeside(keeper);
  const store = spill.store("a", { memoryBytes: 64 << 10, diskBytes: 1 << 20 });
  keeper.cuts = 1;
  await pour(store, 0, 3_000);
  expect(await checkAll(store)).toBe(3_000);
  expect(keeper.asked).toBe(2);
});
