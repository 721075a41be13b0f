import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { CallOptions } from "../../src/runtime/runtime.ts";
import type { Fence } from "../../src/store/ports.ts";
import { expectCode } from "../contract/errors.ts";
import { connectFull, entry, type FullStore } from "../contract/world.ts";
import { type FaultyWorld, faultyWorld, openStore, ROW } from "./lease-kit.ts";
import { describeWithEmulator, IN_REAL_TIME } from "./rule.ts";

/** What a call may take beyond its deadline, on a busy machine. */
const SLACK_MS = 5_000;

const VALUE = "a value that is looked for";

describeWithEmulator("faults between the store and Spanner", () => {
  let world: FaultyWorld;
  /** Through the proxy. */
  let store: FullStore;
  /** Past it. */
  let other: FullStore;
  let fence: Fence;

  beforeEach(async () => {
    world = await faultyWorld();
    const { path, proxy, emulatorHost } = world;
    store = await connectFull({ ...world, connect: () => openStore(path, proxy.host) });
    other = await connectFull({ ...world, connect: () => openStore(path, emulatorHost) });
    fence = { name: ROW, token: await take(null) };
    // Connected, with a session of each connection.
    await Promise.all([store.log.read("k", 0), store.lock.read(ROW)]);
  });
  afterEach(async () => {
    await Promise.all([store.close(), other.close()]);
    await world[Symbol.asyncDispose]();
  });

  async function take(expectedToken: number | null): Promise<number> {
    const writer = "10.0.0.1:8080";
    const takeOver = { name: ROW, writer, leaseMs: 2_000, minAgeMs: 0, expectedToken };
    const result = await other.lock.acquire(takeOver);
    if (result.kind !== "acquired") throw new Error("refused");
    return result.token;
  }

  async function rows(): Promise<number> {
    return (await world.sql.query("SELECT id FROM logtable")).length;
  }

  async function committed(): Promise<void> {
    const deadline = performance.now() + 20_000;
    while ((await rows()) === 0) {
      if (performance.now() > deadline) throw new Error("nothing is committed");
    }
  }

  /** The first one finds a session, and so commits. */
  const everyCall = (options: CallOptions): [string, Promise<unknown>][] => [
    ["append directly", store.log.append([entry("l", "1", VALUE)], null, options)],
    ["ping", store.ping(options)],
    ["read the lock", store.lock.read(ROW, options)],
    ["renew", store.lock.renew(ROW, fence.token, options)],
    ["release", store.lock.release(ROW, fence.token, options)],
    ["read", store.log.read("k", 0, options)],
    ["read all", store.log.read("k", -1, options)],
    ["append", store.log.append([entry("k", "1", VALUE)], fence, options)],
  ];

  async function timed<T>(call: Promise<T>): Promise<{ ms: number; error: unknown }> {
    const started = performance.now();
    const error = await call.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    return { ms: performance.now() - started, error };
  }

  describe("a connection that went silent", () => {
    test("C2: each call ends by its deadline, and says what may have been written", async () => {
      world.proxy.silence();
      const timeoutMs = 400;
      const calls = everyCall({ timeoutMs }).map(
        async ([name, call]) => [name, await timed(call)] as const,
      );
      for (const [name, { ms, error }] of await Promise.all(calls)) {
        expect([name, error]).toEqual([name, expect.any(HedgerowError)]);
        const code = name === "append directly" ? "outcome_unknown" : "unavailable";
        expect([name, (error as HedgerowError).code]).toEqual([name, code]);
        expect(ms).toBeLessThan(timeoutMs + SLACK_MS);
      }
      expect(await rows()).toBe(0);
    });

    test("C2: each call ends when it is cancelled", async () => {
      world.proxy.silence();
      const controller = new AbortController();
      const calls = everyCall({ signal: controller.signal });
      const ended = calls.map(([, call]) => timed(call));
      await Bun.sleep(50);
      const cancelledAt = performance.now();
      controller.abort();
      const errors = (await Promise.all(ended)).map(({ error }) => (error as HedgerowError).code);
      expect(performance.now() - cancelledAt).toBeLessThan(SLACK_MS);
      expect(errors).toEqual(
        calls.map(([name]) => (name === "append directly" ? "outcome_unknown" : "canceled")),
      );
    });

    test(
      "is replaced by another soon: reads succeed, and a write that was under way holds up none",
      async () => {
        const commit = world.proxy.loseReplyTo(VALUE);
        const lost = timed(store.log.append([entry("k", "1", VALUE)], fence, { timeoutMs: 1_500 }));
        await commit.passed;
        await committed();
        world.proxy.silence();
        const { connections } = world.proxy;
        const started = performance.now();
        const again = async (call: () => Promise<unknown>): Promise<number> => {
          while ((await timed(call())).error !== null) {
            if (performance.now() - started > 30_000) return Infinity;
          }
          return performance.now() - started;
        };
        const [readMs, renewMs, appendMs] = await Promise.all([
          again(() => store.log.read("k", 0, { timeoutMs: 500 })),
          again(() => store.lock.renew(ROW, fence.token, { timeoutMs: 400 })),
          again(() => store.log.append([entry("k", "2", "other")], fence, { timeoutMs: 1_500 })),
        ]);
        expect(readMs).toBeLessThan(3_000);
        expect(renewMs).toBeLessThan(3_000);
        expect(appendMs).toBeLessThan(4_000);
        expect(((await lost).error as HedgerowError).code).toBe("outcome_unknown");
        // One of the lock, one of the data.
        expect(world.proxy.connections - connections).toBe(2);
        expect(await rows()).toBe(2);
      },
      IN_REAL_TIME,
    );
  });

  describe("Spanner cannot be reached", () => {
    test(
      "connections are refused: a read fails within a second, and succeeds soon after",
      async () => {
        await world.proxy.refuse();
        for (let n = 0; n < 3; n++) {
          const { ms, error } = await timed(store.log.read("k", 0));
          expect((error as HedgerowError).code).toBe("unavailable");
          expect(ms).toBeLessThan(1_000);
        }
        await world.proxy.accept();
        const started = performance.now();
        while ((await timed(store.log.read("k", 0))).error !== null) {
          expect(performance.now() - started).toBeLessThan(3_000);
        }
      },
      IN_REAL_TIME,
    );

    test(
      "nothing answers: once that is known a read fails long before its deadline, and few connections are tried",
      async () => {
        const { proxy } = world;
        proxy.blackHole();
        await timed(store.log.read("k", 0, { timeoutMs: 2_000 }));
        const { connections } = proxy;
        for (let n = 0; n < 2; n++) {
          const { ms, error } = await timed(store.log.read("k", 0));
          expect((error as HedgerowError).code).toBe("unavailable");
          expect(ms).toBeLessThan(1_500);
        }
        expect(proxy.connections - connections).toBeLessThanOrEqual(2);
        proxy.heal();
        const started = performance.now();
        while ((await timed(store.log.read("k", 0))).error !== null) {
          expect(performance.now() - started).toBeLessThan(8_000);
        }
      },
      IN_REAL_TIME,
    );
  });

  describe("the reply to a commit is lost", () => {
    for (const [what, fenced] of [
      ["under the leader's token", true],
      ["directly", false],
    ] as const) {
      test(`C4: ${what}: the outcome is unknown, the same again is acknowledged, one row is there`, async () => {
        const batch = [entry("k", "1", VALUE), entry("l", "1", "beside")];
        const claim = fenced ? fence : null;
        const reply = world.proxy.loseReplyTo(VALUE);
        const first = expectCode(
          store.log.append(batch, claim, { timeoutMs: 800 }),
          "outcome_unknown",
        );
        await reply.passed;
        await committed();
        await first;
        const stored = (await other.log.read("k", -1)).map(({ timestamp }) => timestamp);
        reply.release();
        expect(await store.log.append(batch, claim)).toEqual(
          batch.map(() => ({ kind: "written", timestamp: stored[0] as number })),
        );
        expect(await rows()).toBe(2);
      });
    }

    test("C4: the connection breaks: the same commit is sent again, and acknowledged as the first", async () => {
      const reply = world.proxy.loseReplyTo(VALUE);
      const append = store.log.append([entry("k", "1", VALUE)], fence);
      await reply.passed;
      await committed();
      reply.cut();
      const [stored] = await other.log.read("k", -1);
      expect(await append).toEqual([{ kind: "written", timestamp: stored?.timestamp ?? 0 }]);
      expect(await rows()).toBe(1);
    });

    test("C4: the connection breaks before the commit arrives: it is sent again, and written once", async () => {
      const broken = world.proxy.loseRequest(VALUE);
      const append = store.log.append([entry("k", "1", VALUE)], fence);
      await broken;
      expect(await append).toEqual([{ kind: "written", timestamp: expect.any(Number) }]);
      expect(await rows()).toBe(1);
    });
  });

  test("C5: the lock is taken over between a write's check of the token and its commit: nothing is written", async () => {
    const checked = world.proxy.loseReplyTo(ROW);
    const append = expectCode(store.log.append([entry("k", "1", VALUE)], fence), "fenced");
    await checked.passed;
    expect(await take(fence.token)).toBeGreaterThan(fence.token);
    checked.release();
    await append;
    expect(await rows()).toBe(0);
  });
});
