import { describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { oneKey } from "../../src/store/spanner/values.ts";
import { expectCode } from "../contract/errors.ts";
import { FakeWorld, outcome, refusal } from "./spanner-fake.ts";

/** Whether the next call gets a session that was used before. */
async function reusesSession(world: FakeWorld): Promise<boolean> {
  const before = world.spanner.of("createSession").length;
  await world.query();
  return world.spanner.of("createSession").length === before;
}

describe("a call that ends before it commits", () => {
  const reason = new HedgerowError("claim_lost", "the lock is somebody else's");
  const ends = [
    ["its caller", "canceled", (_: FakeWorld, caller: AbortController) => caller.abort()],
    [
      "its caller's own",
      reason.code,
      (_: FakeWorld, caller: AbortController) => caller.abort(reason),
    ],
    ["its deadline", "unavailable", ({ clock }: FakeWorld) => clock.pass(10_000)],
    ["close", "stopped", ({ connection }: FakeWorld) => void connection.close()],
  ] as const;

  for (const method of ["createSession", "read"] as const) {
    test.each(ends)(
      `is ended by %s error during ${method}, and never commits`,
      async (_, code, end) => {
        for (const late of ["answered", "answered late", "cut off"]) {
          const world = new FakeWorld();
          const caller = new AbortController();
          world.spanner.deaf = late !== "cut off";
          world.spanner.next(method, "silence");
          const failing = expectCode(world.transact({ signal: caller.signal }), code);
          await world.pass(10);
          // It is on the way when the call ends.
          if (late === "answered") world.spanner.last(method).answer();
          end(world, caller);
          await failing;
          world.spanner.last(method).answer();
          await world.pass(5_000);
          expect(world.spanner.of("commit")).toEqual([]);
        }
      },
    );
  }

  test("is rolled back once nothing of it is under way, and its session used again", async () => {
    const world = new FakeWorld();
    const caller = new AbortController();
    world.spanner.deaf = true;
    world.spanner.next("read", "silence");
    const failing = expectCode(world.transact({ signal: caller.signal }), "canceled");
    await world.pass(10);
    caller.abort();
    await failing;
    await world.pass(100);
    expect(world.spanner.of("rollback")).toEqual([]);
    const id = new Uint8Array([9]);
    world.spanner.last("read").answer({ metadata: { transaction: { id } } });
    await world.pass(0);
    expect(world.spanner.of("rollback").map(({ request }) => request)).toEqual([
      { session: "session-1", transactionId: id },
    ]);
    expect(await reusesSession(world)).toBe(true);
  });

  test("leaves its session to Spanner if the read that begins its transaction is not answered", async () => {
    const world = new FakeWorld();
    world.spanner.next("read", "silence");
    const failing = expectCode(world.transact({ timeoutMs: 100 }), "unavailable");
    await world.pass(100);
    await failing;
    expect(await reusesSession(world)).toBe(false);
    expect(world.spanner.of("rollback")).toEqual([]);
    expect(world.spanner.of("deleteSession")).toEqual([]);
  });
});

describe("what is rolled back, and whose session is used again", () => {
  const cases = [
    ["a commit", 0, () => null],
    ["a row that is there already", 0, () => ({ code: Grpc.ALREADY_EXISTS })],
    ["a commit that is refused", 1, () => ({ code: Grpc.FAILED_PRECONDITION })],
  ] as const;
  test.each(cases)("after %s: %d", async (_, rollbacks, script) => {
    const world = new FakeWorld();
    const answer = script();
    if (answer !== null) world.spanner.next("commit", answer);
    await outcome(world.transact());
    await world.pass(10);
    expect(world.spanner.of("rollback").length).toBe(rollbacks);
    expect(await reusesSession(world)).toBe(true);
  });

  test("nothing to write: the answer does not wait for the rollback", async () => {
    const world = new FakeWorld();
    world.spanner.next("rollback", "silence");
    expect(await world.transact({}, [])).toBe(0);
    expect(world.spanner.of("rollback").length).toBe(1);
    expect(world.spanner.of("commit")).toEqual([]);
    expect(await reusesSession(world)).toBe(false);
    world.spanner.last("rollback").answer();
    await world.pass(0);
    expect(await reusesSession(world)).toBe(true);
  });

  test("a failure between the reads", async () => {
    const world = new FakeWorld();
    const failure = new HedgerowError("fenced", "nothing was written");
    const work = world.connection.readWrite("change", {}, async (transaction) => {
      await transaction.read("t", oneKey("k"), ["token"]);
      throw failure;
    });
    expect(await outcome(work)).toBe(failure);
    await world.pass(0);
    expect(world.spanner.of("rollback").length).toBe(1);
    expect(await reusesSession(world)).toBe(true);
  });

  test("a second read that is not answered", async () => {
    const world = new FakeWorld();
    const failing = world.connection.readWrite(
      "change",
      { timeoutMs: 100 },
      async (transaction) => {
        await transaction.read("t", oneKey("k"), ["token"]);
        world.spanner.next("read", "silence");
        await transaction.read("t", oneKey("k"), ["token"]);
        return { mutations: [], result: () => null };
      },
    );
    const ended = expectCode(failing, "unavailable");
    await world.pass(100);
    await ended;
    expect(world.spanner.of("rollback").length).toBe(1);
    expect(await reusesSession(world)).toBe(true);
  });

  test("a session of a database that is gone is deleted, not used again", async () => {
    const world = new FakeWorld();
    world.spanner.next("read", refusal(Grpc.NOT_FOUND, "Database"));
    await expectCode(world.transact(), "store_failed");
    await world.pass(0);
    const [deleted] = world.spanner.of("deleteSession");
    expect(deleted?.request).toEqual({ name: "session-1" });
    expect(await reusesSession(world)).toBe(false);
  });
});
