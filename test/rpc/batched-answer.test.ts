import { expect, test } from "bun:test";
import { BatchedAnswer } from "../../src/rpc/batched-answer.ts";
import { ManualClock } from "./kit/clock.ts";

/** Gives these, and then the end. Counts how often it is asked. */
class Source {
  asked = 0;
  left = false;

  constructor(private readonly sizes: readonly number[]) {}

  async next(): Promise<Uint8Array | null> {
    const size = this.sizes[this.asked++];
    return size === undefined ? null : new Uint8Array(size).fill(this.asked);
  }

  leave(): void {
    this.left = true;
  }
}

/** All microtasks have run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("what is ready in one turn is one chunk; the end waits for no turn", async () => {
  const source = new Source([1, 2, 3]);
  const reader = new BatchedAnswer(source, new ManualClock()).body.getReader();
  expect((await reader.read()).value).toEqual(Buffer.from([1, 2, 2, 3, 3, 3]));
  expect((await reader.read()).done).toBe(true);
});

test("a quiet source's last message goes when the turn is over", async () => {
  const clock = new ManualClock();
  const never = new Promise<null>(() => {});
  let asked = 0;
  const source = {
    next: () => (asked++ === 0 ? Promise.resolve(Buffer.from("x")) : never),
    leave() {},
  };
  const reader = new BatchedAnswer(source, clock).body.getReader();
  const first = reader.read();
  await settled();
  clock.pass(0);
  expect((await first).value).toEqual(Buffer.from("x"));
});

test("without a reader it asks for one piece, and with one for no more than a chunk and one", async () => {
  const source = new Source(Array.from({ length: 100 }, () => 1024));
  const reader = new BatchedAnswer(source, new ManualClock()).body.getReader();
  await settled();
  expect(source.asked).toBe(1);
  expect((await reader.read()).value?.length).toBe(16 * 1024);
  await settled();
  expect(source.asked).toBeLessThanOrEqual(17);
});

test("a reader that leaves is told to the source", async () => {
  const source = new Source([1]);
  const answer = new BatchedAnswer(source, new ManualClock());
  await answer.begun;
  await answer.body.cancel();
  expect(source.left).toBe(true);
});
