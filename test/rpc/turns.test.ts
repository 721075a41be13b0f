import { expect, test } from "bun:test";
import { Share, Turns } from "../../src/rpc/turns.ts";
import type { Clock } from "../../src/runtime/runtime.ts";

/** Milliseconds that a message takes of a turn. */
const MESSAGE_MS = 1;

/** Time passes as work is done; the event loop turns when the test says so. */
class BusyClock implements Clock {
  readonly bootId = "boot";
  #nowMs = 0;
  #due: (() => void)[] = [];

  now(): number {
    return this.#nowMs;
  }

  wallMicros(): number {
    return this.#nowMs * 1e3;
  }

  schedule(_: number, run: () => void) {
    this.#due.push(run);
    return { cancel() {} };
  }

  work(ms: number): void {
    this.#nowMs += ms;
  }

  /** What came while the loop was busy, and then all that this makes ready. */
  async turn(): Promise<void> {
    for (const run of this.#due.splice(0)) run();
    await new Promise(setImmediate);
  }
}

/** Streams with messages that are there already. What each passes on is noted under its number. */
function busyStreams(count: number, messages: number) {
  const clock = new BusyClock();
  const turns = Turns.of(clock);
  const passed: number[] = [];
  const one = async (stream: number) => {
    for (let i = 0; i < messages; i++) {
      await null; // one promise after the other, as messages come
      for (let turn = turns.over(); turn !== undefined; turn = turns.over()) await turn;
      clock.work(MESSAGE_MS);
      passed.push(stream);
    }
  };
  const all = Promise.all(Array.from({ length: count }, (_, stream) => one(stream)));
  return { clock, passed, all };
}

test("a turn of the event loop does no more than its time, however many streams are busy", async () => {
  const { clock, passed, all } = busyStreams(1_000, 8);
  await new Promise(setImmediate);
  for (let before = 0; passed.length < 8_000; await clock.turn()) {
    expect(clock.now() - before).toBe(10);
    before = clock.now();
  }
  await all;
});

test("none waits for ever: whoever came first is let in first", async () => {
  const { clock, passed, all } = busyStreams(100, 20);
  const half = 50 * 20;
  while (passed.length < half) await clock.turn();
  expect(new Set(passed).size).toBeGreaterThan(50);
  while (passed.length < 100 * 20) await clock.turn();
  await all;
});

test("those of one event loop share its turns", () => {
  const clock = new BusyClock();
  expect(Turns.of(clock)).toBe(Turns.of(clock));
  expect(Turns.of(new BusyClock())).not.toBe(Turns.of(clock));
});

test("it is told when streams wait for the next turn, and only then", async () => {
  const { clock, passed, all } = busyStreams(1, 25);
  let usedUp = 0;
  Turns.of(clock).onUsedUp = () => usedUp++;
  while (passed.length < 25) await clock.turn();
  await all;
  await clock.turn();
  expect(usedUp).toBe(2);
});

test("a turn that was not used up is none the longer for the next", async () => {
  const clock = new BusyClock();
  const turns = Turns.of(clock);
  expect(turns.over()).toBeUndefined();
  await clock.turn();
  clock.work(1_000); // of others
  expect(turns.over()).toBeUndefined();
  clock.work(1_000);
  expect(turns.over()).toBeInstanceOf(Promise);
});

test("a stream between nodes looks at the clock once in many messages, sooner where they are large", () => {
  const taken = (bytes: number) => {
    const clock = new BusyClock();
    const turns = Turns.of(clock);
    void turns.over();
    clock.work(1_000);
    const share = new Share(turns);
    let messages = 1;
    while (share.pass(bytes) === undefined) messages++;
    return messages;
  };
  expect(taken(0)).toBe(32);
  expect(taken(4 * 1024 * 1024)).toBe(1);
});
