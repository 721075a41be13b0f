import { describe, expect, test } from "bun:test";
import type { CallOptions } from "../../src/runtime/runtime.ts";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { expectCode } from "../contract/errors.ts";
import { FakeWorld, outcome, refusal, settled } from "./spanner-fake.ts";

const MAX_SESSIONS = 64;
const MAX_WAITING = 10_000;

/** A world in which so many queries are under way, or wait; none is answered unless the test does. */
class BusyWorld extends FakeWorld {
  constructor() {
    super();
    this.spanner.onCall = ({ method }) => (method === "executeSql" ? "silence" : undefined);
  }

  ask(sql: string, options: CallOptions = {}): Promise<unknown> {
    return this.connection.query("ask", options, { sql });
  }

  /** `from` to `to`, which is not asked any more. */
  async askAll(from: number, to: number): Promise<void> {
    for (let n = from; n < to; n++) this.ask(`${n}`).catch(() => {}); // by close
    await settled();
  }

  /** What is under way, or was. */
  get asked(): string[] {
    return this.spanner.of("executeSql").map(({ request }) => request.sql);
  }

  answer(sql: string): void {
    this.spanner
      .of("executeSql")
      .find(({ request }) => request.sql === sql)
      ?.answer();
  }
}

const numbers = (length: number) => Array.from({ length }, (_, n) => `${n}`);

describe("sessions", () => {
  test("are 64 at most; who waits gets the next one: first come, first served", async () => {
    const world = new BusyWorld();
    await world.askAll(0, MAX_SESSIONS + 6);
    expect(world.asked).toEqual(numbers(MAX_SESSIONS));
    for (const n of [5, 40, 1, 64, 65, 0]) {
      world.answer(`${n}`);
      await settled();
    }
    expect(world.asked).toEqual(numbers(MAX_SESSIONS + 6));
    expect(world.spanner.of("createSession").length).toBe(MAX_SESSIONS);
    const used = world.spanner.of("executeSql").map(({ request }) => request.session);
    expect(new Set(used).size).toBe(MAX_SESSIONS);
    expect(used[64]).toBe(used[5]);
  });

  test("one that is free is used again, each by one call at a time", async () => {
    const world = new FakeWorld();
    for (let n = 0; n < 5; n++) await world.query();
    expect(world.spanner.of("createSession").length).toBe(1);
    await Promise.all([world.query(), world.query(), world.query()]);
    expect(world.spanner.of("createSession").length).toBe(3);
  });

  test("who gives up waiting is passed over", async () => {
    const world = new BusyWorld();
    await world.askAll(0, MAX_SESSIONS);
    const caller = new AbortController();
    const canceled = expectCode(world.ask("gave up", { signal: caller.signal }), "canceled");
    const late = expectCode(world.ask("too late", { timeoutMs: 100 }), "unavailable");
    await world.askAll(64, 65);
    caller.abort();
    await canceled;
    await world.pass(100);
    await late;
    world.answer("0");
    await settled();
    expect(world.asked).toEqual(numbers(MAX_SESSIONS + 1));
  });

  test("who gives up as its turn comes passes it on", async () => {
    // So many steps are between the turn's coming and its being taken, at the most.
    for (let steps = 0; steps < 40; steps++) {
      const world = new BusyWorld();
      await world.askAll(0, MAX_SESSIONS);
      const caller = new AbortController();
      const first = world.ask("first", { signal: caller.signal }).catch(({ code }) => code);
      await world.askAll(64, 65);
      world.answer("0");
      for (let step = 0; step < steps; step++) await null;
      caller.abort();
      expect(await first).toBe("canceled");
      await settled();
      expect(world.asked.at(-1)).toBe("64");
    }
  });

  test("more than 10,000 do not wait for one", async () => {
    const world = new BusyWorld();
    await world.askAll(0, MAX_SESSIONS + MAX_WAITING);
    const error = await expectCode(world.ask("one more"), "overloaded");
    expect(error.retryDelayMs).toBe(100);
    await world.connection.close();
  });

  test("one that comes after its caller gave up is the next call's", async () => {
    const world = new FakeWorld();
    world.spanner.deaf = true;
    world.spanner.next("createSession", "silence");
    const caller = new AbortController();
    const error = expectCode(world.query({ signal: caller.signal }), "canceled");
    await settled();
    caller.abort();
    await error;
    world.spanner.last("createSession").answer({ name: "late" });
    await settled();
    await world.query();
    expect(world.spanner.last("executeSql").request.session).toBe("late");
    expect(world.spanner.of("createSession").length).toBe(1);
  });

  test("one that is refused takes nobody's place", async () => {
    const world = new FakeWorld();
    const refusals = numbers(MAX_SESSIONS + 1).map(() => ({ code: Grpc.PERMISSION_DENIED }));
    world.spanner.next("createSession", ...refusals);
    for (const _ of refusals) await expectCode(world.query(), "store_failed");
    expect(await outcome(world.query())).toBe(1);
  });

  test("one that is left to Spanner, or is gone, takes nobody's place", async () => {
    const world = new FakeWorld();
    for (const _ of numbers(MAX_SESSIONS + 1)) {
      world.spanner.next("read", { code: Grpc.INTERNAL });
      await expectCode(world.transact(), "store_failed");
    }
    await settled();
    expect(await outcome(world.query())).toBe(1);
    expect(world.spanner.of("createSession").length).toBe(MAX_SESSIONS + 2);
    for (const _ of numbers(MAX_SESSIONS + 1)) {
      world.spanner.next("executeSql", refusal(Grpc.NOT_FOUND, "Session"));
      const looked = world.query();
      await world.pass(20);
      expect(await outcome(looked)).toBe(1);
    }
  });

  test("idle ones are deleted at close, and who waits or asks hears `stopped`", async () => {
    const world = new BusyWorld();
    await world.askAll(0, 3);
    for (const n of [0, 1, 2]) world.answer(`${n}`);
    await world.askAll(3, 3 + MAX_SESSIONS);
    for (let n = 3; n < 3 + MAX_SESSIONS; n++) world.answer(`${n}`);
    await settled();
    await world.askAll(100, 100 + MAX_SESSIONS);
    const waiting = expectCode(world.ask("waits"), "stopped");
    const closing = world.connection.close();
    await waiting;
    await closing;
    const names = (method: "createSession" | "deleteSession") => world.spanner.of(method).length;
    expect(names("deleteSession")).toBe(names("createSession"));
    const deleted = world.spanner.of("deleteSession").map(({ request }) => request.name);
    expect(new Set(deleted).size).toBe(MAX_SESSIONS);
    expect(world.spanner.closed).toBe(true);
    await expectCode(world.ask("asks"), "stopped");
  });
});
