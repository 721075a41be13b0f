import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import { KeepSegmentSchema } from "../../src/gen/hedgerow/v1/spill_pb.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers } from "../../src/spill/buffers.ts";
import { type Held, holdInMemory, holdOnDisk } from "../../src/spill/remote/held.ts";
import { KEEP } from "../../src/spill/remote/wire.ts";
import { received } from "../rpc/kit/streams.ts";
import { failureOf } from "../rpc/kit/wait.ts";
import { Folder, spillOf, unlinkedFiles, until } from "./kit.ts";

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

test("a segment that came while its node stopped is not said to be kept", async () => {
  const spill = spillOf({ memoryBytes: 1 << 20 });
  async function* input(): AsyncGenerator<Uint8Array, undefined> {
    await spill.stop();
    yield* segment(5);
    return undefined;
  }
  const keep = spill.holder.streamRoutes.find(({ kind }) => kind.name === KEEP.name);
  const opening = create(KeepSegmentSchema, {
    owner: { address: "10.0.0.1:1", incarnation: 1n },
    bytes: BigInt(BYTES),
    inMemory: true,
    expiryMs: 1_000,
  });
  const served = { signal: new AbortController().signal, fail() {} };
  const answer = (await keep?.handle(opening, received(input()), served)) as AsyncIterable<unknown>;
  expect(HedgerowError.is(await failureOf(Array.fromAsync(answer)), "stopped")).toBe(true);
  expect(spill.memory.used).toBe(0);
});
