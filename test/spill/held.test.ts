import { expect, test } from "bun:test";
import { systemClock } from "../../src/runtime/system.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers } from "../../src/spill/buffers.ts";
import { received } from "../rpc/kit/streams.ts";
import { Folder, unlinkedFiles, until } from "./kit.ts";
import { type Held, holdInMemory, holdOnDisk } from "../../src/spill/remote/held.ts";

const BYTES = 4_096;

async function* segment(filling: number): AsyncGenerator<Uint8Array, undefined> {
  yield new Uint8Array(BYTES).fill(filling);
  return undefined;
}

test("P7: what is freed while it is sent is sent as it was, not as the segment that comes after it", async () => {
  const buffers = new Buffers(systemClock(), new Budget(1_000_000));
  const hold = (filling: number): Promise<Held> =>
    holdInMemory(received(segment(filling)), BYTES, buffers, () => {});
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

test("P7: what is freed on disk while it is sent is sent as it was; then its space is free, also where nobody asks for it", async () => {
  using folder = new Folder();
  const files = systemScratch(folder.path);
  const held = await holdOnDisk(segment(3), BYTES, files, () => {});
  const [sending, other] = [held.chunks(), held.chunks()];
  held.free();
  expect(Buffer.concat([...sending])).toEqual(Buffer.alloc(BYTES, 3));
  expect(unlinkedFiles(folder.path).length).toBe(1);
  other[Symbol.iterator]().return?.(); // before its first step
  await until(() => unlinkedFiles(folder.path).length === 0);
});

test("what came for the disk is freed as soon as it is written, unless it shares its memory", async () => {
  using folder = new Folder();
  const whole = new Uint8Array(BYTES - 10).fill(4);
  const shared = new Uint8Array(100).fill(4);
  async function* input(): AsyncGenerator<Uint8Array> {
    yield whole;
    yield shared.subarray(0, 10);
  }
  const held = await holdOnDisk(input(), BYTES, systemScratch(folder.path), () => {});
  expect([whole.buffer.byteLength, shared.buffer.byteLength]).toEqual([0, 100]);
  expect(Buffer.concat([...held.chunks()])).toEqual(Buffer.alloc(BYTES, 4));
  held.free();
});
