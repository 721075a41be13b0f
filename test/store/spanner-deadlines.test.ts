import { describe, expect, test } from "bun:test";
import type { CallOptions } from "../../src/runtime/runtime.ts";
import { oneKey } from "../../src/store/spanner/values.ts";
import { expectCode } from "../contract/errors.ts";
import { FakeWorld, type Method, MUTATIONS, settled } from "./spanner-fake.ts";

/** A call of each kind, and what it asks of Spanner, in that order. */
const KINDS: readonly [string, readonly Method[], Kind][] = [
  ["query", ["createSession", "executeSql"], (world, options) => world.query(options)],
  [
    "large query",
    ["createSession", "executeStreamingSql"],
    ({ connection }, options) => connection.query("look", options, { sql: "SELECT 1" }, "large"),
  ],
  ["write", ["createSession", "commit"], (world, options) => world.write(options)],
  [
    "transaction",
    ["createSession", "read", "executeSql", "streamingRead", "commit"],
    ({ connection }, options) =>
      connection.readWrite("change", options, async (transaction) => {
        await transaction.read("t", oneKey("k"), ["c"]);
        await transaction.query({ sql: "SELECT 1" });
        await transaction.readLarge("t", oneKey("k"), ["c"]);
        return { mutations: MUTATIONS, result: () => null };
      }),
  ],
];
type Kind = (world: FakeWorld, options: CallOptions) => Promise<unknown>;

for (const [kind, methods, call] of KINDS) {
  describe(kind, () => {
    test("each call to Spanner ends with what time is left, and is not retried underneath", async () => {
      const world = new FakeWorld();
      world.spanner.onCall = () => "silence";
      const calling = call(world, { timeoutMs: 1_000.5 });
      let left = 1_000.5;
      for (const method of methods) {
        await world.pass(100);
        left -= 100;
        const { options, answer } = world.spanner.last(method);
        expect(options).toMatchObject({ timeout: Math.ceil(left + 100), retry: null });
        answer();
        await settled();
      }
      await calling;
      expect(world.spanner.calls.map(({ method }) => method)).toEqual([...methods]);
    });

    for (const method of methods) {
      test(`${method} gets a deadline, never 0, which is none, and no time past the call's`, async () => {
        const world = new FakeWorld();
        const waiting = world.spanner;
        waiting.onCall = () => "silence";
        const ended = call(world, { timeoutMs: 100.4 }).catch(({ code }) => code);
        await settled();
        world.clock.pass(100);
        for (const step of methods.slice(0, methods.indexOf(method))) {
          waiting.last(step).answer();
          await settled();
        }
        if (method !== methods[0]) expect(waiting.last(method).options.timeout).toBe(1);
        const { length } = waiting.calls;
        world.clock.pass(0.4);
        await settled();
        expect(await ended).toBe(method === "commit" ? "outcome_unknown" : "unavailable");
        const after = waiting.calls.slice(length).filter((made) => made.method !== "rollback");
        expect(after).toEqual([]);
      });

      test(`${method} is cut off with its caller`, async () => {
        const world = new FakeWorld();
        world.spanner.onCall = () => "silence";
        const caller = new AbortController();
        const code = method === "commit" ? "outcome_unknown" : "canceled";
        const canceled = expectCode(call(world, { signal: caller.signal }), code);
        await settled();
        for (const step of methods.slice(0, methods.indexOf(method))) {
          world.spanner.last(step).answer();
          await settled();
        }
        const { signal } = world.spanner.last(method).options;
        expect(signal?.aborted).toBe(false);
        caller.abort();
        expect(signal?.aborted).toBe(true);
        await canceled;
      });
    }
  });
}

test("what is asked behind a call has a deadline of its own", async () => {
  const world = new FakeWorld();
  await world.transact({}, []);
  await world.connection.close();
  expect(world.spanner.last("rollback").options).toEqual({ timeout: 2_000, retry: null });
  expect(world.spanner.last("deleteSession").options).toEqual({ timeout: 1_000, retry: null });
});

test("a stream is cut off with its caller, and its session is free again", async () => {
  const world = new FakeWorld();
  world.spanner.next("executeStreamingSql", "silence");
  const caller = new AbortController();
  const options = { signal: caller.signal };
  const looking = world.connection.query("look", options, { sql: "SELECT 1" }, "large");
  const canceled = expectCode(looking, "canceled");
  await settled();
  caller.abort();
  await canceled;
  await settled();
  await world.query();
  expect(world.spanner.of("createSession").length).toBe(1);
});
