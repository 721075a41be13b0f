import { describe, expect, test } from "bun:test";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { expectCode } from "../contract/errors.ts";
import { type Call, FakeSpanner, FakeWorld, outcome, settled } from "./spanner-fake.ts";

const SILENT_MS = 1_500;
type OnCall = FakeSpanner["onCall"];

/** A world whose client is replaced by others. */
class ReplacingWorld extends FakeWorld {
  readonly made: FakeSpanner[];
  /** What becomes of the calls on clients made from now on. */
  onCall: OnCall = () => undefined;
  /** A client is not made before this. */
  making: Promise<void> = Promise.resolve();

  constructor() {
    const made: FakeSpanner[] = [];
    super({
      another: async (former) => {
        expect(former).toBe(this.made.at(-1)?.client as never);
        await this.making;
        const next = new FakeSpanner(this.clock);
        next.onCall = (call) => this.onCall(call);
        this.made.push(next);
        return next.client;
      },
    });
    this.made = made;
    made.push(this.spanner);
  }

  /** One that is not answered, and ends in so many milliseconds. */
  async unanswered(timeoutMs: number): Promise<void> {
    const failing = expectCode(this.query({ timeoutMs }), "unavailable");
    await this.pass(timeoutMs);
    await failing;
  }
}

const silent = () => "silence" as const;
/** Sessions come about; nothing else is answered. */
const mute = ({ method }: Call) => (method === "createSession" ? undefined : silent());

/** A world with two sessions, on which nothing is answered any more. */
async function muted(): Promise<ReplacingWorld> {
  const world = new ReplacingWorld();
  await Promise.all([world.query(), world.query()]);
  world.spanner.onCall = mute;
  world.onCall = mute;
  return world;
}

describe("a client on which nothing is answered", () => {
  test("is replaced after 1.5 s, by the next call", async () => {
    const world = await muted();
    await world.unanswered(SILENT_MS - 10);
    await world.unanswered(10);
    expect(world.made.length).toBe(1);
    world.onCall = () => undefined;
    expect(await outcome(world.query())).toBe(1);
    expect(world.made.length).toBe(2);
    expect(world.made[1]?.of("executeSql").length).toBe(1);
  });

  test("is replaced ever less often, down to every 30 s, until one answers", async () => {
    const world = await muted();
    const replacedAt: number[] = [];
    for (let ms = 0, made = 1; ms <= 100_000; ms += 500) {
      await world.unanswered(500);
      if (world.made.length > made) replacedAt.push(ms);
      made = world.made.length;
    }
    expect(replacedAt).toEqual([1_500, 4_500, 10_500, 22_500, 46_500, 76_500]);
    const last = world.made.at(-1) as FakeSpanner;
    last.onCall = () => undefined;
    await world.query();
    last.onCall = mute;
    await world.unanswered(SILENT_MS);
    await world.unanswered(10);
    expect(world.made.at(-2)).toBe(last);
  });

  test("is one on which any call is answered, even if it is refused", async () => {
    const answers = [undefined, { code: Grpc.NOT_FOUND }, { code: Grpc.RESOURCE_EXHAUSTED }];
    for (const answer of answers) {
      const world = await muted();
      await world.unanswered(1_000);
      world.spanner.onCall = () => answer;
      await outcome(world.query());
      world.spanner.onCall = mute;
      await world.unanswered(1_000);
      await world.unanswered(10);
      expect(world.made.length).toBe(1);
    }
    for (const code of [Grpc.DEADLINE_EXCEEDED, Grpc.CANCELLED, null]) {
      const world = await muted();
      await world.unanswered(1_000);
      world.spanner.onCall = () => ({ code });
      await outcome(world.query());
      world.spanner.onCall = mute;
      await world.unanswered(1_000);
      await world.unanswered(10);
      expect(world.made.length).toBe(2);
    }
  });

  test("is not one whose transactions give way to others", async () => {
    const world = new ReplacingWorld();
    world.spanner.onCall = ({ method }) =>
      method === "commit" ? { code: Grpc.ABORTED } : undefined;
    const failing = expectCode(world.transact({ timeoutMs: 3_000 }), "unavailable");
    await world.pass(2_000);
    world.spanner.onCall = mute;
    const asking = world.query().catch(() => {}); // never answered
    await settled();
    expect(world.made.length).toBe(1);
    await world.pass(10_000);
    await Promise.all([failing, asking]);
  });

  test("is closed at once, or with its last call, which may yet be answered", async () => {
    const idle = await muted();
    await idle.unanswered(SILENT_MS);
    await idle.unanswered(10);
    expect(idle.spanner.closed).toBe(true);

    const busy = await muted();
    const long = busy.query({ timeoutMs: 5_000 });
    await busy.pass(SILENT_MS);
    await busy.unanswered(10);
    expect(busy.made.length).toBe(2);
    expect(busy.spanner.closed).toBe(false);
    busy.spanner.last("executeSql").answer();
    expect(await outcome(long)).toBe(1);
    await settled();
    expect(busy.spanner.closed).toBe(true);
    expect(busy.made[1]?.closed).toBe(false);
  });

  test("gets no credit for what the one before it still answers", async () => {
    const world = await muted();
    const long = world.query({ timeoutMs: 5_000 });
    await world.pass(SILENT_MS);
    await world.unanswered(1_400);
    world.spanner.last("executeSql").answer();
    expect(await outcome(long)).toBe(1);
    await world.unanswered(1_590);
    await world.unanswered(10);
    expect(world.made.length).toBe(2);
    await world.unanswered(10);
    expect(world.made.length).toBe(3);
  });

  test("does not keep a transaction from being rolled back: that is done on the next one", async () => {
    const world = new ReplacingWorld();
    world.spanner.onCall = ({ method }) =>
      method === "commit" || method === "rollback" ? "silence" : undefined;
    const failing = expectCode(world.transact({ timeoutMs: 100 }), "outcome_unknown");
    await world.pass(100);
    await failing;
    // The first one is given up after 2 s.
    await world.pass(2_100);
    const [first, next] = world.made.map((spanner) => spanner.of("rollback"));
    expect(first?.length).toBe(1);
    expect(next?.map(({ request }) => request)).toEqual([first?.[0]?.request]);
  });

  test("is replaced once for all that wait", async () => {
    const world = await muted();
    await world.unanswered(SILENT_MS);
    const { promise, resolve } = Promise.withResolvers<void>();
    world.making = promise;
    world.onCall = () => undefined;
    const waiting = [world.query(), world.query(), world.query()];
    await expectCode(Promise.all([world.query({ signal: AbortSignal.abort() })]), "canceled");
    await world.pass(100);
    expect(world.made[0]?.of("executeSql").length).toBe(3);
    resolve();
    expect(await Promise.all(waiting)).toEqual([1, 1, 1]);
    expect(world.made.length).toBe(2);
  });

  test("is kept where no other can be made", async () => {
    const world = new FakeWorld();
    world.spanner.onCall = mute;
    const failing = expectCode(world.query({ timeoutMs: 40_000 }), "unavailable");
    await world.pass(40_000);
    await failing;
    world.spanner.onCall = () => undefined;
    expect(await outcome(world.query())).toBe(1);
  });

  test("is not replaced after close", async () => {
    const world = await muted();
    await world.unanswered(SILENT_MS);
    const { promise, resolve } = Promise.withResolvers<void>();
    world.making = promise;
    const waiting = expectCode(world.query(), "stopped");
    await settled();
    world.spanner.onCall = () => undefined;
    const closing = world.connection.close();
    await waiting;
    resolve();
    await closing;
    expect(world.made.map(({ closed }) => closed)).toEqual([true, true]);
    const closed = await muted();
    await closed.unanswered(SILENT_MS);
    closed.spanner.onCall = () => undefined;
    await closed.connection.close();
    await expectCode(closed.query(), "stopped");
    expect(closed.made.length).toBe(1);
  });
});
