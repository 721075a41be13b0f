import { expect, test } from "bun:test";
import fc from "fast-check";
import { HedgerowError } from "../../src/errors.ts";
import { SeldomWarner } from "../../src/observe/seldom.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { Batch } from "../../src/spill/batch.ts";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers, type RecordBuffer } from "../../src/spill/buffers.ts";
import { completeLimits } from "../../src/spill/limits.ts";
import { Segment, segmentBytes } from "../../src/spill/segment.ts";
import { Store } from "../../src/spill/store.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { checkAll, FakeFiles, record } from "./kit.ts";

/** The system has no memory while `none` is set. */
class ScarceBuffers extends Buffers {
  none = false;

  override get(size: number): RecordBuffer {
    if (this.none) throw new RangeError("Out of memory");
    return super.get(size);
  }
}

function world() {
  const clock = new ManualClock();
  const memory = new Budget(1 << 20);
  const buffers = new ScarceBuffers(clock, memory);
  const segmentOf = (size: number, expected: number) => {
    memory.take(segmentBytes(size, expected));
    return new Segment({ size, expected, buffers, memory, staged: false });
  };
  return { clock, memory, buffers, segmentOf };
}

const codeOfCall = (call: () => unknown) => {
  try {
    return call();
  } catch (error) {
    return HedgerowError.is(error) ? error.code : error;
  }
};

test("records of all lengths lie as they were appended, in buffers that were used before, too", () => {
  const { memory, buffers, segmentOf } = world();
  const runs = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 300 });
  fc.assert(
    fc.property(runs, fc.nat(100), (records, expected) => {
      const segment = segmentOf(4_096, expected);
      const taken = records.filter((one) => segment.append(one));
      expect(memory.used).toBe(segment.allocated);
      expect([...Batch.of(segment, 0, 0, segment.count)]).toEqual(taken);
      segment.free();
      expect(memory.used).toBe(0);
    }),
  );
  expect(buffers.keptBytes).toBeGreaterThan(0);
});

test("offsets are used again by a segment that expects about as many records, not while somebody reads", () => {
  const { segmentOf } = world();
  const first = segmentOf(4_096, 500);
  first.free();
  const second = segmentOf(4_096, 505);
  expect(second.offsets.buffer).toBe(first.offsets.buffer);
  second.pin();
  second.free();
  expect(segmentOf(4_096, 505).offsets.buffer).not.toBe(first.offsets.buffer);
});

test("what a reader has under its eyes stays while the offsets grow", () => {
  const { segmentOf } = world();
  const segment = segmentOf(64 << 10, 10);
  for (let i = 0; i < 60; i++) segment.append(record(i, 4));
  const batch = Batch.of(segment, 0, 0, 60);
  for (let i = 60; i < 1_000; i++) segment.append(record(i, 4));
  expect(segment.count).toBe(1_000);
  expect([...batch]).toEqual(Array.from({ length: 60 }, (_, i) => record(i, 4)));
});

test("a segment for which the system has no memory takes nothing of the budget, nor do offsets that cannot grow", () => {
  const { memory, buffers, segmentOf } = world();
  buffers.none = true;
  expect(codeOfCall(() => segmentOf(4_096, 10))).toBe("no_space");
  expect(memory.used).toBe(0);
  buffers.none = false;
  const segment = segmentOf(4_096, 10);
  const before = memory.used;
  for (let i = 0; i < 63; i++) expect(segment.append(record(i, 4))).toBe(true);
  buffers.none = true;
  expect(codeOfCall(() => segment.append(record(63, 4)))).toBe("no_space");
  expect([segment.count, memory.used]).toEqual([63, before]);
  buffers.none = false;
  expect(segment.append(record(63, 4))).toBe(true);
  expect([...Batch.of(segment, 0, 0, 64)]).toEqual(
    Array.from({ length: 64 }, (_, i) => record(i, 4)),
  );
});

test("a store that the system gives no memory fails the append, loses nothing, and goes on once there is some", async () => {
  const { clock, memory, buffers } = world();
  const disk = new Budget(8 << 20);
  const limits = completeLimits({ memoryBytes: 16 << 10 }, { memoryBytes: 0, diskBytes: 8 << 20 });
  const store = new Store({
    name: "a",
    limits,
    clock,
    warner: new SeldomWarner(clock, silentLogger),
    memory,
    disk,
    buffers,
    files: new FakeFiles(),
    remote: null,
    onEnded: () => {},
  });
  const writer = store.writer();
  const appended = async (i: number): Promise<unknown> => {
    try {
      await writer.append(record(i));
      return "taken";
    } catch (error) {
      return HedgerowError.is(error) ? error.code : error;
    }
  };
  let count = 0;
  for (let round = 0; round < 5; round++) {
    for (const until = count + 12_000; count < until; count++) {
      expect(await appended(count)).toBe("taken");
    }
    const used = memory.used;
    buffers.none = true;
    const long = record(0, store.maxRecordBytes);
    await Promise.resolve(codeOfCall(() => writer.append(long))).catch(() => {});
    while ((await appended(count)) === "taken") count++;
    for (let i = 0; i < 20; i++) expect(await appended(count)).toBe("no_space");
    expect(memory.used).toBeLessThanOrEqual(used);
    buffers.none = false;
  }
  expect(await checkAll(store)).toBe(count);
  await writer.close();
  await store.close();
  expect([memory.used, disk.used]).toEqual([0, 0]);
});
