import { expect, test } from "bun:test";
import { systemClock } from "../../src/runtime/system.ts";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers } from "../../src/spill/buffers.ts";
import { type Held, holdInMemory } from "../../src/spill/remote/held.ts";

const BYTES = 4_096;

async function* segment(filling: number): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(BYTES).fill(filling);
}

test("P7: what is freed while it is sent is sent as it was, not as the segment that comes after it", async () => {
  const buffers = new Buffers(systemClock(), new Budget(1_000_000));
  const hold = (filling: number): Promise<Held> =>
    holdInMemory(segment(filling), BYTES, buffers, () => {});
  const first = await hold(1);
  const sending = first.chunks();
  first.free();
  const second = await hold(2);
  expect(Buffer.concat([...sending])).toEqual(Buffer.alloc(BYTES, 1));
  expect(Buffer.concat([...second.chunks()])).toEqual(Buffer.alloc(BYTES, 2));
  second.free();
  expect(buffers.keptBytes).toBe(BYTES); // what nobody sends any more is used again
  buffers.stop();
});
