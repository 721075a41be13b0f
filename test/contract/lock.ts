import { describe, expect, test } from "bun:test";
import type { LockStore, TakeOver } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { entry, type MakeWorld, useWorld } from "./world.ts";

/** Long enough for a distant database's round trips, which must not age a heartbeat that far. */
const LEASE_MS = 500;

export function lockContract(makeWorld: MakeWorld): void {
  describe("lock", () => {
    const { world, store, other, fence } = useWorld(makeWorld);
    const first = (name: string, writer = "a:1"): TakeOver => ({
      name,
      writer,
      expectedToken: null,
      leaseMs: 2_000,
      minAgeMs: LEASE_MS,
    });
    const later = (
      name: string,
      expectedToken: number,
      more: Partial<TakeOver> = {},
    ): TakeOver => ({
      ...first(name, "b:2"),
      expectedToken,
      ...more,
    });
    const acquire = async (lock: LockStore, takeOver: TakeOver): Promise<number> => {
      const result = await lock.acquire(takeOver);
      if (result.kind !== "acquired") throw new Error(`refused: ${JSON.stringify(result.row)}`);
      return result.token;
    };

    test("nobody's lock has no row, and cannot be renewed or released", async () => {
      const { lock } = store();
      expect(await lock.read("demo")).toBeNull();
      expect(await lock.renew("demo", 1)).toBe("lost");
      expect(await lock.release("demo", 1)).toBe("lost");
      expect(await lock.read("demo")).toBeNull();
    });

    test("the first taker gets a token in microseconds, and everybody reads it", async () => {
      const token = await acquire(store().lock, first("demo"));
      expect(Number.isSafeInteger(token)).toBe(true);
      // Between 2020 and 2100.
      expect(token).toBeGreaterThan(1_577_836_800_000_000);
      expect(token).toBeLessThan(4_102_444_800_000_000);
      const row = await other().lock.read("demo");
      expect(row).toMatchObject({ token, writer: "a:1" });
      expect(row?.ageMs).toBeGreaterThanOrEqual(0);
      expect(row?.ageMs).toBeLessThan(LEASE_MS);
    });

    test("a fresh heartbeat is not taken over, and the refusal shows the row", async () => {
      const token = await acquire(store().lock, first("demo"));
      const before = await store().lock.read("demo");
      const result = await other().lock.acquire(later("demo", token));
      expect(result.kind).toBe("refused");
      expect(result).toMatchObject({ row: { token, writer: "a:1", beat: before?.beat } });
      expect(await store().lock.read("demo")).toMatchObject({ token, writer: "a:1" });
    });

    test("an old heartbeat is taken over, by the database's clock", async () => {
      const token = await acquire(store().lock, first("demo"));
      await world().passMs(LEASE_MS + 1);
      expect((await store().lock.read("demo"))?.ageMs).toBeGreaterThanOrEqual(LEASE_MS);
      const next = await acquire(other().lock, later("demo", token));
      expect(next).toBeGreaterThan(token);
      const row = await store().lock.read("demo");
      expect(row).toMatchObject({ token: next, writer: "b:2" });
      expect(row?.ageMs).toBeLessThan(LEASE_MS);
    });

    test("a row that exists is not taken by who saw none", async () => {
      const token = await acquire(store().lock, first("demo"));
      await world().passMs(LEASE_MS + 1);
      const result = await other().lock.acquire(first("demo", "b:2"));
      expect(result).toMatchObject({ kind: "refused", row: { token } });
    });

    test("a heartbeat watched for a lease is taken over whatever its age", async () => {
      const token = await acquire(store().lock, first("demo"));
      const watchedBeat = (await store().lock.read("demo"))?.beat as string;
      const next = await acquire(other().lock, later("demo", token, { watchedBeat }));
      expect(next).toBeGreaterThan(token);
    });

    test("a heartbeat that changed since it was watched is not", async () => {
      const token = await acquire(store().lock, first("demo"));
      const watchedBeat = (await store().lock.read("demo"))?.beat as string;
      await world().passMs(2);
      expect(await store().lock.renew("demo", token)).toBe("renewed");
      const result = await other().lock.acquire(later("demo", token, { watchedBeat }));
      expect(result).toMatchObject({ kind: "refused", row: { token } });
    });

    test("renewing sets the heartbeat to now and touches nothing else", async () => {
      const token = await acquire(store().lock, first("demo"));
      const before = await store().lock.read("demo");
      await world().passMs(LEASE_MS + 1);
      expect(await other().lock.renew("demo", token)).toBe("renewed");
      const after = await store().lock.read("demo");
      expect(after).toMatchObject({ token, writer: "a:1" });
      expect(after?.beat).not.toBe(before?.beat as string);
      expect(after?.ageMs).toBeLessThan(LEASE_MS);
      expect((await other().lock.acquire(later("demo", token))).kind).toBe("refused");
    });

    test("a beat names an unchanged row as long as nothing was written", async () => {
      await acquire(store().lock, first("demo"));
      const before = await store().lock.read("demo");
      await world().passMs(5);
      expect((await other().lock.read("demo"))?.beat).toBe(before?.beat as string);
    });

    test("a released lock is anybody's at once, and keeps token and writer", async () => {
      const token = await acquire(store().lock, first("demo"));
      expect(await store().lock.release("demo", token)).toBe("released");
      expect(await other().lock.read("demo")).toMatchObject({
        token,
        writer: "a:1",
        ageMs: Number.POSITIVE_INFINITY,
      });
      const next = await acquire(
        other().lock,
        later("demo", token, { leaseMs: 2_000, minAgeMs: 1e9 }),
      );
      expect(next).toBeGreaterThan(token);
    });

    test("L2: a late challenger does not move the token", async () => {
      const token = await acquire(store().lock, first("demo"));
      const watchedBeat = (await store().lock.read("demo"))?.beat as string;
      await world().passMs(LEASE_MS + 1);
      const next = await acquire(store().lock, later("demo", token));
      const late = later("demo", token, {
        leaseMs: 2_000,
        minAgeMs: 0,
        watchedBeat,
        writer: "late:3",
      });
      const result = await other().lock.acquire(late);
      expect(result).toMatchObject({ kind: "refused", row: { token: next, writer: "b:2" } });
      expect(await store().lock.read("demo")).toMatchObject({ token: next, writer: "b:2" });
    });

    test("L2: of several at once exactly one wins, each time", async () => {
      for (let i = 0; i < 10; i++) {
        const name = `race-${i}`;
        const results = await Promise.all(
          [store(), other(), store(), other()].map(({ lock }, n) =>
            lock.acquire(first(name, `writer:${n}`)),
          ),
        );
        const won = results.filter((result) => result.kind === "acquired");
        expect(won.length).toBe(1);
        expect(await store().lock.read(name)).toMatchObject({ token: won[0]?.token });
      }
    });

    test("L3: nothing that happens to `demo` touches `demo_canary`", async () => {
      const neighbours = ["demo_canary", "demo_1", "demo_", "demo%", "Demo", "demo "];
      for (const name of neighbours) await acquire(store().lock, first(name, name));
      const before = await Promise.all(neighbours.map((name) => store().lock.read(name)));
      let token = await acquire(store().lock, first("demo"));
      await store().lock.renew("demo", token);
      await world().passMs(LEASE_MS + 1);
      token = await acquire(store().lock, later("demo", token));
      await store().lock.release("demo", token);
      await acquire(store().lock, later("demo", token));
      const after = await Promise.all(neighbours.map((name) => store().lock.read(name)));
      const fixed = (rows: typeof before) => rows.map((row) => ({ ...row, ageMs: 0 }));
      expect(fixed(after)).toEqual(fixed(before));
    });

    test("L4: a row deleted by hand is lost for its leader and free for all", async () => {
      const claim = await fence("demo");
      await world().deleteLockRow("demo");
      expect(await store().lock.renew("demo", claim.token)).toBe("lost");
      expect(await store().lock.release("demo", claim.token)).toBe("lost");
      await expectCode(store().log.append([entry("k", "1", "v")], claim), "fenced");
      const judged = later("demo", claim.token, { leaseMs: 2_000, minAgeMs: 0 });
      expect(await other().lock.acquire(judged)).toEqual({ kind: "refused", row: null });
      expect(await other().lock.read("demo")).toBeNull();
      expect(await acquire(other().lock, first("demo"))).toBeGreaterThan(claim.token);
    });

    test("L5: tokens rise over take-overs, releases and deletions", async () => {
      let token = await acquire(store().lock, first("demo"));
      for (let i = 0; i < 5; i++) {
        await store().lock.release("demo", token);
        const taken = await acquire(other().lock, later("demo", token));
        expect(taken).toBeGreaterThan(token);
        await world().deleteLockRow("demo");
        token = await acquire(store().lock, first("demo"));
        expect(token).toBeGreaterThan(taken);
      }
    });

    test("L6: a former leader neither renews nor releases its successor's lease", async () => {
      const former = await acquire(store().lock, first("demo"));
      await world().passMs(LEASE_MS + 1);
      const token = await acquire(other().lock, later("demo", former));
      const before = await store().lock.read("demo");
      await world().passMs(2);
      expect(await store().lock.renew("demo", former)).toBe("lost");
      expect(await store().lock.release("demo", former)).toBe("lost");
      const after = await store().lock.read("demo");
      expect(after).toMatchObject({ token, writer: "b:2", beat: before?.beat });
      expect(after?.ageMs).toBeGreaterThan(before?.ageMs as number);
    });
  });
}
