import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { publicError } from "../../src/rpc/errors.ts";
import { StreamContext } from "../../src/rpc/stream-context.ts";
import { type AnswerSink, StreamRun, type StreamSpec } from "../../src/rpc/stream-run.ts";
import { Turns } from "../../src/rpc/turns.ts";
import { Echo } from "./kit/echo.ts";
import { runtime } from "./kit/nodes.ts";

const { clock } = runtime;

type Answers = AsyncIterable<{ data: Uint8Array }>;

/** Notes what it is given; flushes end when the test says so. */
class Sink implements AnswerSink {
  readonly opened = Promise.resolve();
  readonly flushes: number[][] = [];
  full: Promise<void> | undefined;
  #kept: number[] = [];

  constructor(private readonly room = Infinity) {}

  add(answer: { data: Uint8Array }): boolean {
    this.#kept.push(answer.data[0] as number);
    return this.#kept.length < this.room;
  }

  flush(): Promise<void> | undefined {
    this.flushes.push(this.#kept);
    this.#kept = [];
    return this.full;
  }

  get kept(): readonly number[] {
    return this.#kept;
  }
}

function runOf(answers: () => Answers) {
  const never = new AbortController().signal;
  const context = new StreamContext({
    method: Echo.method.both,
    protocolName: "connect",
    url: "http://127.0.0.1/",
    requestHeader: new Headers(),
    caller: never,
    shutdown: never,
    clock,
  });
  const spec = { kind: "bidi_streaming", method: Echo.method.both, impl: answers } as StreamSpec;
  const requests = (async function* (): AsyncGenerator<never> {})();
  return {
    run: new StreamRun({ spec, requests, context, turns: new Turns(clock), publicError }),
    context,
  };
}

/** Gives what is there without waiting, as an inbox does. */
function ready(count: number, onLeft: () => void = () => {}): Answers {
  let given = 0;
  return {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        Promise.resolve(
          given < count
            ? { done: false as const, value: { data: Uint8Array.of(given++) } }
            : { done: true as const, value: undefined },
        ),
      return: () => {
        onLeft();
        return Promise.resolve({ done: true as const, value: undefined });
      },
    }),
  };
}

/** All microtasks have run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("what is there already goes together; the rest of it is left to the end", async () => {
  const sink = new Sink(3);
  const { run, context } = runOf(() => ready(8));
  expect(await run.into(sink)).toBeUndefined();
  expect(sink.flushes).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ]);
  expect(sink.kept).toEqual([6, 7]);
  expect(context.signal.aborted).toBe(true);
});

test("what is there goes before the next is waited for", async () => {
  const more = Promise.withResolvers<void>();
  const sink = new Sink();
  const { run } = runOf(async function* () {
    yield { data: Uint8Array.of(1) };
    await more.promise;
    yield { data: Uint8Array.of(2) };
  });
  const ended = run.into(sink);
  await settled();
  expect(sink.flushes).toEqual([[1]]);
  more.resolve();
  await ended;
  expect([...sink.flushes.flat(), ...sink.kept]).toEqual([1, 2]);
});

test("a sink that is full is given no more", async () => {
  const sink = new Sink(2);
  const room = Promise.withResolvers<void>();
  sink.full = room.promise;
  const { run } = runOf(() => ready(6));
  const ended = run.into(sink);
  await settled();
  expect(sink.flushes).toEqual([[0, 1]]);
  sink.full = undefined;
  room.resolve();
  await ended;
  expect(sink.flushes.flat()).toEqual([0, 1, 2, 3, 4, 5]);
});

test("the error of a handler is what it ends with, after its answers", async () => {
  const sink = new Sink();
  const { run, context } = runOf(async function* () {
    yield { data: Uint8Array.of(1) };
    throw new HedgerowError("no_leader", "nobody leads");
  });
  expect(await run.into(sink)).toMatchObject({ code: "no_leader" });
  expect([...sink.flushes.flat(), ...sink.kept]).toEqual([1]);
  expect(context.signal.reason).toMatchObject({ rawMessage: "nobody leads" });
});

test("whoever leaves ends the handler, also one that is in the middle of something", async () => {
  let left = 0;
  const never: Answers = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: async () => {
        left++;
        return { done: true as const, value: undefined };
      },
    }),
  };
  const { run, context } = runOf(() => never);
  void run.into(new Sink());
  run.leave();
  await run.begun;
  expect(left).toBe(1);
  expect(context.signal.aborted).toBe(true);
});

test("a handler that always has more leaves the event loop its turns", async () => {
  const { run } = runOf(() => ready(Infinity));
  let turns = 0;
  const turn = () => {
    if (++turns < 3) setTimeout(turn, 0);
    else run.leave();
  };
  setTimeout(turn, 0);
  await run.into(new Sink(4));
  expect(turns).toBe(3);
});

test("nothing is taken for somebody who has left while the connection was full", async () => {
  let left = 0;
  const sink = new Sink(1);
  const room = Promise.withResolvers<void>();
  sink.full = room.promise;
  const { run } = runOf(() => ready(9, () => void left++));
  const ended = run.into(sink);
  await settled();
  run.leave();
  room.resolve();
  await ended;
  expect([sink.flushes.length, left]).toEqual([1, 1]);
});
