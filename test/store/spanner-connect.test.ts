import { describe, expect, test } from "bun:test";
import type { ConnectionOptions } from "../../src/store/spanner/connection.ts";
import { expectCode } from "../contract/errors.ts";
import { FakeSpanner, FakeWorld, outcome } from "./spanner-fake.ts";

const State = { IDLE: 0, CONNECTING: 1, READY: 2, TRANSIENT_FAILURE: 3 };

/** A world whose connection is as the test says. */
class ConnectingWorld extends FakeWorld {
  #state = State.IDLE;
  #heard: (() => void)[] = [];

  constructor(options: Partial<ConnectionOptions> = {}) {
    super(options);
    Object.assign(this.spanner.channel, {
      getConnectivityState: () => this.#state,
      watchConnectivityState: (_state: number, wallMs: number, hear: () => void) => {
        this.#heard.push(hear);
        this.clock.schedule(wallMs - this.clock.wallMicros() / 1_000, hear);
      },
    });
  }

  become(state: number): void {
    this.#state = state;
    for (const hear of this.#heard.splice(0)) hear();
  }
}

describe("a connection", () => {
  test("is waited for by the first call as long as that has time", async () => {
    const world = new ConnectingWorld();
    const asking = world.query({ timeoutMs: 5_000 });
    await world.pass(1_000);
    world.become(State.CONNECTING);
    await world.pass(3_000);
    expect(world.spanner.calls).toEqual([]);
    world.become(State.READY);
    expect(await outcome(asking)).toBe(1);
    const late = new ConnectingWorld();
    const failing = expectCode(late.query({ timeoutMs: 5_000 }), "unavailable");
    await late.pass(5_000);
    await failing;
    expect(late.spanner.calls).toEqual([]);
  });

  test("that was there once is waited for 1 s: then nothing was done", async () => {
    for (const call of ["query", "write", "transact"] as const) {
      const world = new ConnectingWorld();
      world.become(State.READY);
      await world.query();
      const { length } = world.spanner.calls;
      world.become(State.CONNECTING);
      const failing = world[call]().catch(({ code }) => code);
      await world.pass(990);
      expect(await outcome(failing)).toBe("pending");
      await world.pass(10);
      expect(await outcome(failing)).toBe("unavailable");
      expect(world.spanner.calls.length).toBe(length);
      // Its session is free again.
      world.become(State.READY);
      await world.query();
      expect(world.spanner.of("createSession").length).toBe(1);
    }
  });

  test("that does not come about is tried anew, and nothing of the former stays open", async () => {
    const next = new FakeSpanner();
    const world = new ConnectingWorld({ another: async () => next.client });
    for (const timeoutMs of [1_000, 500]) {
      const failing = expectCode(world.query({ timeoutMs }), "unavailable");
      await world.pass(timeoutMs);
      await failing;
    }
    expect(await outcome(world.query())).toBe(1);
    expect(next.of("executeSql").length).toBe(1);
    expect(world.spanner.closed).toBe(true);
  });

  test("that cannot come about is not waited for: the call says why", async () => {
    const world = new ConnectingWorld();
    world.become(State.TRANSIENT_FAILURE);
    expect(await outcome(world.query())).toBe(1);
  });
});
