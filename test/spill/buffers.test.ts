import { expect, test } from "bun:test";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers } from "../../src/spill/buffers.ts";
import { MAX_SEGMENT_BYTES } from "../../src/spill/limits.ts";
import { ManualClock } from "../rpc/kit/clock.ts";

function world(limit = 1_000) {
  const clock = new ManualClock();
  const node = new Budget(limit);
  return { clock, node, buffers: new Buffers(clock, node) };
}

test("a freed buffer is used again by the next of its size, the one that was freed last first", () => {
  const { buffers } = world();
  const [first, second] = [buffers.get(100), buffers.get(100)];
  buffers.put(first);
  buffers.put(second);
  expect(buffers.keptBytes).toBe(200);
  expect(buffers.get(101).bytes).not.toBe(first.bytes);
  expect(buffers.get(100).bytes).toBe(second.bytes);
  expect(buffers.get(100).bytes).toBe(first.bytes);
  expect(buffers.keptBytes).toBe(0);
});

test("one that is of no use goes after half a minute, however often others are freed and used again", () => {
  const { clock, buffers } = world();
  buffers.put(buffers.get(100));
  for (let i = 0; i < 4; i++) {
    clock.pass(9_000);
    buffers.put(buffers.get(200));
    expect([buffers.keptBytes, clock.timers.size]).toEqual([i < 3 ? 300 : 200, 1]);
  }
  clock.pass(29_999);
  expect([buffers.keptBytes, clock.timers.size]).toEqual([200, 1]);
  clock.pass(1);
  expect([buffers.keptBytes, clock.timers.size]).toEqual([0, 0]);
});

test("there is a timer only while a buffer is kept", () => {
  const { clock, node, buffers } = world();
  buffers.put(buffers.get(100));
  expect([buffers.keptBytes, clock.timers.size]).toEqual([100, 1]);
  const used = buffers.get(100);
  expect([buffers.keptBytes, clock.timers.size]).toEqual([0, 0]);
  buffers.put(used);
  node.take(1_000);
  buffers.get(1_000);
  expect([buffers.keptBytes, clock.timers.size]).toEqual([0, 0]);
});

test("a buffer that is freed after the stop leaves no timer", () => {
  const { clock, buffers } = world();
  const late = buffers.get(100);
  buffers.put(buffers.get(100));
  buffers.stop();
  buffers.put(late);
  expect([buffers.keptBytes, clock.timers.size]).toEqual([0, 0]);
});

test("of what is kept the oldest makes room for what is used, and no more than has to", () => {
  const { clock, node, buffers } = world();
  const made = [300, 200, 301].map((size) => buffers.get(size));
  for (const buffer of made) {
    buffers.put(buffer);
    clock.pass(1);
  }
  node.take(450);
  buffers.get(450);
  expect(buffers.keptBytes).toBe(501);
  expect(buffers.get(301)).toEqual({ bytes: made[2]?.bytes as never, pins: 0 });
});

test("what somebody reads is not used again; of a full node two segments' buffers are kept, and no third", () => {
  const { node, buffers } = world();
  node.take(1_001);
  const get = () => buffers.get(MAX_SEGMENT_BYTES);
  const [read, first, second, third] = [get(), get(), get(), get()];
  buffers.put({ ...read, pins: 1 });
  expect(buffers.keptBytes).toBe(0);
  for (const one of [first, second, third]) buffers.put(one);
  expect(buffers.keptBytes).toBe(2 * MAX_SEGMENT_BYTES);
});
