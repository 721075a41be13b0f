import { describe, expect, test } from "bun:test";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { expectCode } from "../contract/errors.ts";
import { COMMIT_MICROS, FakeWorld, MUTATIONS, outcome, refusal } from "./spanner-fake.ts";

/** Codes after which a commit surely did nothing, and what each becomes. */
const DEFINITE = [
  ["ALREADY_EXISTS", "conflict"],
  ["FAILED_PRECONDITION", "store_failed"],
  ["INVALID_ARGUMENT", "store_failed"],
  ["PERMISSION_DENIED", "store_failed"],
  ["UNAUTHENTICATED", "store_failed"],
  ["NOT_FOUND", "store_failed"],
  ["UNIMPLEMENTED", "store_failed"],
  ["RESOURCE_EXHAUSTED", "unavailable"],
] as const;

/** Codes after which a commit may have been executed; null: Google's library threw something else. */
const VAGUE = [
  Grpc.UNAVAILABLE,
  Grpc.DEADLINE_EXCEEDED,
  Grpc.CANCELLED,
  Grpc.INTERNAL,
  Grpc.UNKNOWN,
  Grpc.DATA_LOSS,
  null,
];

describe("a commit that is refused did nothing", () => {
  for (const [name, code] of DEFINITE) {
    test(`${name} is ${code}, and not sent again`, async () => {
      for (const call of ["transact", "write"] as const) {
        const world = new FakeWorld();
        world.spanner.next("commit", { code: Grpc[name] });
        await expectCode(world[call](), code);
        await world.pass(5_000);
        expect(world.spanner.of("commit").length).toBe(1);
      }
    });
  }
});

describe("a commit without an answer", () => {
  test.each(VAGUE)("of a transaction is sent again, the very same, after code %p", async (code) => {
    const world = new FakeWorld();
    world.spanner.next("commit", { code }, { code });
    const written = world.transact();
    await world.pass(200);
    expect(await outcome(written)).toBe(COMMIT_MICROS);
    const requests = world.spanner.of("commit").map(({ request }) => request);
    expect(requests.length).toBe(3);
    expect(requests[0]).toEqual({
      session: "session-1",
      transactionId: new Uint8Array([2]),
      mutations: MUTATIONS,
    });
    expect(requests[1]).toEqual(requests[0]);
    expect(requests[2]).toEqual(requests[0]);
    expect(world.spanner.of("read").length).toBe(1);
  });

  test("is sent again ever less often, until the deadline: then its outcome is unknown", async () => {
    const world = new FakeWorld();
    world.spanner.onCall = ({ method }) =>
      method === "commit" ? { code: Grpc.UNAVAILABLE } : undefined;
    const error = expectCode(world.transact({ timeoutMs: 2_000 }), "outcome_unknown");
    const times = await world.timesOf("commit", 2_500);
    await error;
    expect(times).toEqual([0, 20, 60, 140, 300, 620, 1_120, 1_620]);
  });

  test.each(VAGUE)("without a transaction is never sent again: code %p", async (code) => {
    const world = new FakeWorld();
    world.spanner.next("commit", { code });
    await expectCode(world.write(), "outcome_unknown");
    await world.pass(5_000);
    expect(world.spanner.of("commit").length).toBe(1);
    expect(world.spanner.of("rollback").length).toBe(0);
  });

  test("is cut off by the deadline: its outcome is unknown", async () => {
    for (const call of ["transact", "write"] as const) {
      const world = new FakeWorld();
      world.spanner.next("commit", "silence");
      const error = expectCode(world[call]({ timeoutMs: 300 }), "outcome_unknown");
      await world.pass(300);
      await error;
    }
  });

  test.each(["transact", "write"] as const)("%s, cut off by its caller: unknown", async (call) => {
    const world = new FakeWorld();
    const caller = new AbortController();
    world.spanner.next("commit", "silence");
    const error = expectCode(world[call]({ signal: caller.signal }), "outcome_unknown");
    await world.pass(10);
    caller.abort();
    await error;
  });

  test.each(["transact", "write"] as const)("%s, cut off by close: unknown", async (call) => {
    const world = new FakeWorld();
    world.spanner.next("commit", "silence");
    const error = expectCode(world[call](), "outcome_unknown");
    await world.pass(10);
    const closed = world.connection.close();
    await error;
    await closed;
  });

  test("and whose repetition is turned away, stays unknown: that says nothing of the first", async () => {
    for (const name of ["PERMISSION_DENIED", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED"] as const) {
      const world = new FakeWorld();
      world.spanner.next("commit", { code: Grpc.UNAVAILABLE }, { code: Grpc[name] });
      const written = world.transact();
      await world.pass(200);
      expect(await outcome(written)).toBe(COMMIT_MICROS);
    }
    const world = new FakeWorld();
    world.spanner.next("commit", { code: Grpc.INTERNAL }, refusal(Grpc.NOT_FOUND, "Session"));
    const error = expectCode(world.transact(), "outcome_unknown");
    await world.pass(200);
    await error;
    expect(world.spanner.of("read").length).toBe(1);
  });

  test("and whose repetition is refused, did nothing", async () => {
    const world = new FakeWorld();
    world.spanner.next("commit", { code: Grpc.INTERNAL }, { code: Grpc.ALREADY_EXISTS });
    const error = expectCode(world.transact(), "conflict");
    await world.pass(200);
    await error;
  });
});

describe("a commit that is answered as its call ends is not reported as not done", () => {
  const ends = {
    caller: (_: FakeWorld, caller: AbortController) => caller.abort(),
    deadline: ({ clock }: FakeWorld) => clock.pass(10_000),
    close: ({ connection }: FakeWorld) => void connection.close(),
  };
  for (const call of ["transact", "write"] as const) {
    test.each(Object.keys(ends) as (keyof typeof ends)[])(`${call}, by %s`, async (end) => {
      for (const answeredFirst of [true, false]) {
        const world = new FakeWorld();
        const caller = new AbortController();
        world.spanner.next("commit", "silence");
        const ended = world[call]({ signal: caller.signal }).catch(({ code }) => code);
        await world.pass(10);
        if (answeredFirst) world.spanner.last("commit").answer();
        ends[end](world, caller);
        world.spanner.last("commit").answer();
        const honest: unknown[] = [COMMIT_MICROS, "outcome_unknown"];
        expect(honest).toContain(await outcome(ended));
      }
    });
  }
});
