import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Fence } from "../../src/store/ports.ts";
import { spannerWorld, type SpannerWorld } from "../contract/spanner-world.ts";
import { connectFull, entry, type FullStore, takeFence } from "../contract/world.ts";
import { dataClient } from "./database.ts";
import { describeWithEmulator, IN_REAL_TIME } from "./rule.ts";

/** Of the application's connection. */
const MAX_SESSIONS = 64;
/** Of the lock's: one, and what its first calls have left. */
const LOCK_SESSIONS = 2;

describeWithEmulator("sessions", () => {
  let world: SpannerWorld;
  let store: FullStore;
  let fence: Fence;

  beforeEach(async () => {
    world = await spannerWorld();
    store = await connectFull(world);
    fence = await takeFence(store, "leader");
  });
  afterEach(async () => {
    await store.close();
    await world[Symbol.asyncDispose]();
  });

  async function sessions(): Promise<string[]> {
    const client = dataClient(world.emulatorHost);
    const [found] = await client.listSessions({ database: world.path });
    await client.close();
    return found.map(({ name }) => name ?? "");
  }

  async function deleteSessions(): Promise<void> {
    const names = await sessions();
    const client = dataClient(world.emulatorHost);
    await Promise.all(names.map((name) => client.deleteSession({ name })));
    await client.close();
  }

  const timesAt = (count: number, call: (n: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: count }, (_, n) => call(n)));

  test("that Spanner has deleted are replaced: the next calls succeed, and write nothing twice", async () => {
    await timesAt(8, () => store.log.read("k", 0));
    for (let round = 0; round < 3; round++) {
      await deleteSessions();
      expect(await sessions()).toEqual([]);
      // At once, so that several find theirs gone.
      const calls = await Promise.all([
        store.lock.renew(fence.name, fence.token),
        store.lock.read(fence.name),
        store.log.append([entry("fenced", `${round}`, "v")], fence),
        store.log.append([entry("direct", `${round}`, "v")], null),
        store.log.append([entry("replaced", "-", "v")], null),
        store.log.read("k", -1),
        store.log.read("k", 0),
        store.ping(),
      ]);
      expect(calls[0]).toBe("renewed");
      expect(calls[1]).toMatchObject({ token: fence.token });
      for (const outcome of calls.slice(2, 5)) expect(outcome).toMatchObject([{ kind: "written" }]);
    }
    expect((await store.log.read("fenced", -1)).map(({ id }) => id)).toEqual(["2", "1", "0"]);
    expect((await store.log.read("direct", -1)).map(({ id }) => id)).toEqual(["2", "1", "0"]);
    expect((await store.log.read("replaced", -1)).length).toBe(1);
  });

  test("that are gone when a lease's first renewal, take-over or release comes cost it nothing", async () => {
    const takeOver = { name: "other", writer: "w:1", leaseMs: 2_000, minAgeMs: 0 };
    await deleteSessions();
    const taken = await store.lock.acquire({ ...takeOver, expectedToken: null });
    expect(taken.kind).toBe("acquired");
    const token = taken.kind === "acquired" ? taken.token : 0;
    await deleteSessions();
    expect(await store.lock.renew("other", token)).toBe("renewed");
    await deleteSessions();
    expect(await store.lock.release("other", token)).toBe("released");
  });

  for (const [what, mostDone, call] of [
    // In the line of these a renewal would come behind nearly all of them.
    ["reads", 400, (n: number) => store.log.read(`k${n}`, 0)],
    // The emulator lets each new transaction abort the one that there is, at worst until all are done: no bound.
    ["writes", null, (n: number) => store.log.append([entry(`k${n}`, "1", "v")], null)],
  ] as const) {
    test(
      `L12: 500 ${what} at once all succeed, share 64 sessions, and ${mostDone === null ? "so does a renewal" : "keep no renewal waiting"}`,
      async () => {
        let done = 0;
        const calls = timesAt(500, (n) => call(n).then(() => done++));
        expect(await store.lock.renew(fence.name, fence.token)).toBe("renewed");
        if (mostDone !== null) expect(done).toBeLessThanOrEqual(mostDone);
        await calls;
        expect((await sessions()).length).toBeLessThanOrEqual(MAX_SESSIONS + LOCK_SESSIONS);
        const [[count] = []] = await world.sql.query(
          "SELECT CAST(COUNT(*) AS STRING) FROM logtable",
        );
        expect(count).toBe(what === "writes" ? "500" : "0");
      },
      IN_REAL_TIME,
    );
  }
});
