import { describe, expect, test } from "bun:test";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { expectCode } from "../contract/errors.ts";
import { COMMIT_MICROS, FakeWorld, outcome, settled } from "./spanner-fake.ts";

/** A world with a transaction whose commit got no answer, and whose rollback gets none. */
async function unsettled(ordered: boolean): Promise<FakeWorld> {
  const world = new FakeWorld({ ordered });
  world.spanner.next("commit", "silence");
  world.spanner.next("rollback", "silence");
  const failing = expectCode(world.transact({ timeoutMs: 100 }), "outcome_unknown");
  await world.pass(100);
  await failing;
  expect(world.spanner.of("rollback").length).toBe(1);
  return world;
}

describe("a rollback", () => {
  test("is sent until it is surely answered, ever less often; meanwhile its session is not used", async () => {
    const world = await unsettled(false);
    const vague = [Grpc.UNAVAILABLE, Grpc.INTERNAL, Grpc.RESOURCE_EXHAUSTED, null];
    world.spanner.next("rollback", ...vague.map((code) => ({ code })));
    const times = await world.timesOf("rollback", 5_000);
    // The first is given up after 2 s.
    expect(times).toEqual([2_020, 2_060, 2_140, 2_300, 2_620]);
    const sessions = new Set(world.spanner.of("rollback").map(({ request }) => request.session));
    expect([...sessions]).toEqual(["session-1"]);
    await world.query();
    expect(world.spanner.of("createSession").length).toBe(1);
  });

  test.each([Grpc.NOT_FOUND, Grpc.FAILED_PRECONDITION])(
    "is settled by code %d: there is nothing to be committed any more",
    async (code) => {
      const world = await unsettled(false);
      world.spanner.last("rollback").fail(code);
      await world.pass(5_000);
      expect(world.spanner.of("rollback").length).toBe(1);
    },
  );

  test("is given up after 30 s, and its session is left to Spanner", async () => {
    const world = await unsettled(false);
    world.spanner.onCall = ({ method }) =>
      method === "rollback" ? { code: Grpc.UNAVAILABLE } : undefined;
    const times = await world.timesOf("rollback", 60_000);
    expect(times.length).toBeGreaterThan(50);
    expect(times.at(-1)).toBeWithin(29_000, 31_000);
    expect(world.spanner.of("deleteSession")).toEqual([]);
    await world.query();
    expect(world.spanner.of("createSession").length).toBe(2);
  });
});

describe("after a commit of unknown outcome, on a connection that keeps the order", () => {
  test("the next transaction waits until that one can no longer be committed", async () => {
    const world = await unsettled(true);
    const reads = world.spanner.of("read").length;
    const next = world.transact();
    await world.pass(500);
    expect(world.spanner.of("read").length).toBe(reads);
    world.spanner.last("rollback").answer();
    await settled();
    expect(await outcome(next)).toBe(COMMIT_MICROS);
    // It is over: the one after it does not wait.
    expect(await outcome(world.transact())).toBe(COMMIT_MICROS);
  });

  test("it waits for all of them, in whatever order they are settled", async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const world = new FakeWorld({ ordered: true });
      world.spanner.next("commit", "silence", "silence");
      world.spanner.next("rollback", "silence", "silence");
      const options = { timeoutMs: 100 };
      const failing = [1, 2].map(() => expectCode(world.transact(options), "outcome_unknown"));
      await world.pass(100);
      await Promise.all(failing);
      const next = world.transact();
      for (const rollback of order) {
        expect(await outcome(next)).toBe("pending");
        world.spanner.of("rollback")[rollback]?.answer();
      }
      await settled();
      expect(await outcome(next)).toBe(COMMIT_MICROS);
    }
  });

  test("it waits no longer than its own time, and has done nothing then", async () => {
    const world = await unsettled(true);
    const reads = world.spanner.of("read").length;
    const failing = expectCode(world.transact({ timeoutMs: 50 }), "unavailable");
    await world.pass(50);
    await failing;
    expect(world.spanner.of("read").length).toBe(reads);
    // The session that it had is free again.
    await world.query();
    expect(world.spanner.of("createSession").length).toBe(2);
  });

  test("what only reads does not wait, nor anything on another connection", async () => {
    const ordered = await unsettled(true);
    expect(await outcome(ordered.query())).toBe(1);
    const other = await unsettled(false);
    expect(await outcome(other.transact())).toBe(COMMIT_MICROS);
  });
});

describe("close", () => {
  test("waits for rollbacks, but 1 s at most, and deletes the sessions that are idle", async () => {
    for (const answered of [true, false]) {
      const world = await unsettled(false);
      await world.query();
      const closing = world.connection.close();
      await world.pass(900);
      expect(await outcome(closing)).toBe("pending");
      expect(world.spanner.closed).toBe(false);
      if (answered) world.spanner.last("rollback").answer();
      else await world.pass(100);
      await closing;
      expect(world.spanner.closed).toBe(true);
      const deleted = world.spanner.of("deleteSession").map(({ request }) => request.name);
      expect(deleted.length).toBe(answered ? 2 : 1);
    }
  });

  test("leaves no rollback and no timer behind", async () => {
    const world = await unsettled(false);
    const closing = world.connection.close();
    await world.pass(5_000);
    await closing;
    expect(world.spanner.of("rollback").length).toBe(1);
    expect(world.clock.timers.size).toBe(0);
  });

  test("a session that is not deleted in time is left", async () => {
    const world = new FakeWorld();
    await world.query();
    world.spanner.next("deleteSession", "silence");
    const closing = world.connection.close();
    await world.pass(1_000);
    expect(await outcome(closing)).toBeUndefined();
    await expectCode(world.query(), "stopped");
    await world.connection.close();
    expect(world.spanner.of("deleteSession").length).toBe(1);
    expect(world.clock.timers.size).toBe(0);
  });
});
