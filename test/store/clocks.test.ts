import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { entry, type FullStore, takeFence } from "../contract/world.ts";
import { type HandWorld, memoryWorld, type SqliteWorld, sqliteWorld } from "../contract/worlds.ts";

const HOUR_MS = 3_600_000;
const LEASE_MS = 1_000;

for (const [name, makeWorld] of [
  ["memory", memoryWorld],
  ["SQLite", sqliteWorld],
] as const) {
  describe(`${name}: when somebody sets the wall clock`, () => {
    let world: HandWorld;
    let store: FullStore;
    beforeEach(async () => {
      world = await makeWorld();
      store = (await world.connect({ log: true })) as FullStore;
    });
    afterEach(async () => {
      await store.close();
      await world[Symbol.asyncDispose]();
    });
    const takeOver = (expectedToken: number | null) =>
      store.lock.acquire({
        name: "demo",
        writer: "w:1",
        expectedToken,
        leaseMs: 2_000,
        minAgeMs: LEASE_MS,
      });

    test("a lease neither ends nor lasts longer", async () => {
      const { token } = await takeFence(store, "demo");
      world.clock.jumpWallMs(HOUR_MS);
      expect((await takeOver(token)).kind).toBe("refused");
      world.clock.jumpWallMs(-2 * HOUR_MS);
      await world.passMs(LEASE_MS - 1);
      expect((await takeOver(token)).kind).toBe("refused");
      await world.passMs(1);
      expect((await takeOver(token)).kind).toBe("acquired");
    });

    test("tokens rise all the same, also over a deleted row", async () => {
      let { token } = await takeFence(store, "demo");
      for (const jumpMs of [-HOUR_MS, HOUR_MS / 2, -10, 0]) {
        world.clock.jumpWallMs(jumpMs);
        if (jumpMs === 0) await world.deleteLockRow("demo");
        else await store.lock.release("demo", token);
        const taken = await takeOver(jumpMs === 0 ? null : token);
        if (taken.kind !== "acquired") throw new Error("refused");
        expect(taken.token).toBeGreaterThan(token);
        token = taken.token;
      }
    });

    test("entries' times rise all the same, over all keys", async () => {
      const times: number[] = [];
      for (const jumpMs of [0, -HOUR_MS, 5, HOUR_MS, -HOUR_MS]) {
        world.clock.jumpWallMs(jumpMs);
        for (const key of ["k", "l"]) {
          const batch = [entry(key, `id-${times.length}`, "v"), entry("-", "-", "v")];
          for (const outcome of await store.log.append(batch, null)) {
            if (outcome.kind === "written") times.push(outcome.timestamp);
          }
        }
      }
      expect(times.length).toBe(20);
      expect(new Set(times).size).toBe(20);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    });
  });
}

describe("SQLite: heartbeats that no clock can judge", () => {
  let world: SqliteWorld;
  let store: FullStore;
  beforeEach(async () => {
    world = await sqliteWorld();
    store = (await world.connect({ log: true })) as FullStore;
  });
  afterEach(async () => {
    await store.close();
    await world[Symbol.asyncDispose]();
  });
  const demo = { name: "demo", writer: "w:1", leaseMs: 2_000, minAgeMs: 0 };

  const expectUnknownAge = async (token: number) => {
    const row = await store.lock.read("demo");
    expect(row).toMatchObject({ token, ageMs: null });
    const refused = await store.lock.acquire({ ...demo, expectedToken: token });
    expect(refused).toEqual({ kind: "refused", row });
    const watchedBeat = row?.beat as string;
    const other = await store.lock.acquire({ ...demo, expectedToken: token, watchedBeat: "x" });
    expect(other.kind).toBe("refused");
    const taken = await store.lock.acquire({ ...demo, expectedToken: token, watchedBeat });
    expect(taken.kind).toBe("acquired");
    expect((await store.lock.read("demo"))?.ageMs).toBe(0);
  };

  test("one of another boot is taken over only when it was watched", async () => {
    const { token } = await takeFence(store, "demo");
    // Longer up than the machine was at that heartbeat, whose age would seem to be known.
    world.clock.reboot(HOUR_MS);
    await expectUnknownAge(token);
  });

  test("one from the future likewise", async () => {
    const { token } = await takeFence(store, "demo");
    world.clock.passMs(-50);
    await expectUnknownAge(token);
  });

  test("one that is missing in the row likewise", async () => {
    const { token } = await takeFence(store, "demo");
    world.sql("UPDATE locktable SET heartbeat = NULL");
    await expectUnknownAge(token);
  });

  test("a released lock is free whatever the boot", async () => {
    const { token } = await takeFence(store, "demo");
    await store.lock.release("demo", token);
    world.clock.reboot(100);
    expect((await store.lock.read("demo"))?.ageMs).toBe(Number.POSITIVE_INFINITY);
    expect((await store.lock.acquire({ ...demo, expectedToken: token })).kind).toBe("acquired");
  });

  test("a leader that renews over a reboot is judged by the new clock", async () => {
    const { token } = await takeFence(store, "demo");
    world.clock.reboot(100);
    expect(await store.lock.renew("demo", token)).toBe("renewed");
    await world.passMs(7);
    expect((await store.lock.read("demo"))?.ageMs).toBe(7);
  });

  test("a row without a token has token 0, and is taken over as such", async () => {
    world.sql("INSERT INTO locktable (name, heartbeat, boot) VALUES ('demo', 0, '')");
    expect(await store.lock.read("demo")).toMatchObject({ token: 0, writer: "" });
    expect((await store.lock.acquire({ ...demo, expectedToken: null })).kind).toBe("refused");
    expect((await store.lock.acquire({ ...demo, expectedToken: 0 })).kind).toBe("acquired");
  });

  test("tokens rise also where the kept last token was deleted", async () => {
    const { token } = await takeFence(store, "demo");
    world.sql("DELETE FROM hedgerow_meta");
    world.clock.jumpWallMs(-HOUR_MS);
    const taken = await store.lock.acquire({ ...demo, expectedToken: token });
    expect(taken).toEqual({ kind: "acquired", token: token + 1 });
  });
});
