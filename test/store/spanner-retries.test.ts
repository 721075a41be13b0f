import { describe, expect, test } from "bun:test";
import type { HedgerowError } from "../../src/errors.ts";
import { Grpc, grpcCode } from "../../src/store/spanner/errors.ts";
import { expectCode } from "../contract/errors.ts";
import { type Call, COMMIT_MICROS, FakeWorld, outcome, refusal } from "./spanner-fake.ts";

const sessionGone = () => refusal(Grpc.NOT_FOUND, "Session");

/** A world in which a method always fails. */
function failing(method: Call["method"], make: () => Error): FakeWorld {
  const world = new FakeWorld();
  world.spanner.onCall = (call) => (call.method === method ? make() : undefined);
  return world;
}

describe("a transaction that gives way to another", () => {
  test("begins again on its session after pauses that grow, until the deadline: ABORTED is the cause", async () => {
    for (const method of ["commit", "read"] as const) {
      const world = failing(method, () => refusal(Grpc.ABORTED));
      const error = expectCode(world.transact({ timeoutMs: 5_000 }), "unavailable");
      const times = await world.timesOf("read", 6_000);
      expect(times).toEqual([0, 20, 60, 140, 300, 620, 1_260, 2_260, 3_260, 4_260]);
      // Not a pause longer than what time is left for.
      expect(grpcCode((await error).cause)).toBe(Grpc.ABORTED);
      const sessions = world.spanner.of("read").map(({ request }) => request.session);
      expect([...new Set(sessions)]).toEqual(["session-1"]);
      const selectors = world.spanner.of("read").map(({ request }) => request.transaction);
      expect(selectors).toEqual(times.map(() => ({ begin: { readWrite: {} } })));
      // Spanner itself has ended them.
      expect(world.spanner.of("rollback")).toEqual([]);
    }
  });

  test("commits what it then found, once", async () => {
    const world = new FakeWorld();
    world.spanner.next("commit", { code: Grpc.ABORTED }, { code: Grpc.ABORTED });
    const written = world.transact();
    await world.pass(100);
    expect(await outcome(written)).toBe(COMMIT_MICROS);
    const ids = world.spanner.of("commit").map(({ request }) => request.transactionId);
    expect(new Set(ids.map(String)).size).toBe(3);
  });

  test("is given up in a pause, with what ended it, and leaves its session", async () => {
    const world = failing("commit", () => refusal(Grpc.ABORTED));
    const caller = new AbortController();
    const error = expectCode(world.transact({ signal: caller.signal }), "canceled");
    await world.pass(50);
    caller.abort();
    await error;
    const { length } = world.spanner.calls;
    await world.pass(5_000);
    expect(world.spanner.calls.length).toBe(length);
    await world.query();
    expect(world.spanner.of("createSession").length).toBe(1);
  });

  test("without a transaction before, too", async () => {
    const world = new FakeWorld();
    world.spanner.next("commit", { code: Grpc.ABORTED });
    const written = world.write();
    await world.pass(20);
    expect(await outcome(written)).toBe(COMMIT_MICROS);
  });

  test("after a commit without an answer, that one did nothing", async () => {
    const world = new FakeWorld();
    world.spanner.next("commit", { code: Grpc.UNAVAILABLE }, { code: Grpc.ABORTED });
    world.spanner.onCall = ({ method }) =>
      method === "read" && world.spanner.of("read").length > 1
        ? { code: Grpc.INTERNAL }
        : undefined;
    const error = expectCode(world.transact(), "store_failed");
    await world.pass(1_000);
    await error;
    expect(world.spanner.of("commit").length).toBe(2);
  });
});

describe("a call that did nothing is made again", () => {
  const causes = [
    ["the connection was lost", () => refusal(Grpc.UNAVAILABLE), "unavailable"],
    ["its session is gone", sessionGone, "store_failed"],
  ] as const;

  for (const [why, make, code] of causes) {
    test(`3 times, where ${why}`, async () => {
      const read = failing("read", make);
      const failed = expectCode(read.transact(), code);
      expect(await read.timesOf("read", 5_000)).toEqual([0, 20, 60, 140]);
      const { cause }: HedgerowError = await failed;
      expect(grpcCode(cause)).toBe(grpcCode(make()));
      const asked = failing("executeSql", make);
      const unanswered = expectCode(asked.query(), code);
      expect((await asked.timesOf("executeSql", 5_000)).length).toBe(4);
      await unanswered;
    });

    test(`and then succeeds, where ${why}`, async () => {
      const world = new FakeWorld();
      world.spanner.next("read", make(), make());
      world.spanner.next("createSession", refusal(Grpc.UNAVAILABLE));
      const written = world.transact();
      await world.pass(200);
      expect(await outcome(written)).toBe(COMMIT_MICROS);
    });
  }

  test("unless it is given up in the pause before", async () => {
    const world = failing("read", sessionGone);
    const caller = new AbortController();
    const error = expectCode(world.transact({ signal: caller.signal }), "canceled");
    await world.pass(100);
    caller.abort();
    await error;
  });

  test("on a new session: with one of them, the idle ones have gone too", async () => {
    const world = new FakeWorld();
    await Promise.all([world.query(), world.query()]);
    expect(world.spanner.of("createSession").length).toBe(2);
    world.spanner.next("executeSql", sessionGone());
    const looked = world.query();
    await world.pass(20);
    expect(await outcome(looked)).toBe(1);
    expect(world.spanner.of("createSession").length).toBe(3);
    // Spanner has deleted them itself.
    expect(world.spanner.of("deleteSession")).toEqual([]);
  });

  test("also at its commit, which a session that is gone refuses", async () => {
    const world = new FakeWorld();
    world.spanner.next("commit", sessionGone());
    const written = world.transact();
    await world.pass(20);
    expect(await outcome(written)).toBe(COMMIT_MICROS);
    expect(world.spanner.of("read").length).toBe(2);
  });

  test("not where it is refused, nor where a read is not answered", async () => {
    const answers = [
      [Grpc.PERMISSION_DENIED, "store_failed"],
      [Grpc.INTERNAL, "store_failed"],
      [Grpc.RESOURCE_EXHAUSTED, "unavailable"],
      [Grpc.DEADLINE_EXCEEDED, "unavailable"],
      [null, "store_failed"],
    ] as const;
    for (const [grpc, code] of answers) {
      const world = new FakeWorld();
      world.spanner.next("read", { code: grpc });
      await expectCode(world.transact(), code);
      expect(world.spanner.of("read").length).toBe(1);
    }
  });
});
