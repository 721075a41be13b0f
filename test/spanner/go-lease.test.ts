import { expect, test } from "bun:test";
import { Lease } from "../../src/lock/lease.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import type { FullStore } from "../contract/world.ts";
import { finish, goOnUntil } from "./go-contender.ts";
import { GO_ID, GO_LEASE_MS, insertGoRow, NAME, OUR_ID, tryAppend, openBoth } from "./go-kit.ts";
import { describeWithEmulator, IN_REAL_TIME } from "./rule.ts";

const EXPIRED_MS = 60_000;
const TIMING = leaseTiming(GO_LEASE_MS);
/** For calls to the emulator on a busy machine, on top of what the arithmetic of the lease gives. */
const SLACK_MS = 5_000;

describeWithEmulator("L14: the whole loop of a lease beside the Go system", () => {
  /** A lease that contends from now on, and what it told of gains and losses. */
  const startLease = (store: FullStore) => {
    const started = performance.now();
    const told: { readonly leads: boolean; readonly token: number; readonly atMs: number }[] = [];
    const lease = new Lease({
      store: store.lock,
      runtime: systemRuntime(),
      logger: silentLogger,
      timing: TIMING,
      rowName: NAME,
      writer: OUR_ID,
      onChange: (leads, token) => told.push({ leads, token, atMs: performance.now() - started }),
      onRow: () => {},
      fenced: true,
    });
    lease.start();
    /** The next that it tells, counted from 0. */
    const change = async (index: number) => {
      await until(`the lease's change ${index}`, () => told.length > index);
      return told[index] as (typeof told)[number];
    };
    return {
      lease,
      told,
      change,
      elapsedMs: () => performance.now() - started,
      [Symbol.asyncDispose]: async () => {
        await lease.stop();
      },
    };
  };

  test.concurrent(
    "a leader of ours that renews is never contended for",
    async () => {
      await using both = await openBoth();
      const { store, contender } = both;
      await using ours = startLease(store);
      const { token } = await ours.change(0);
      const go = contender();
      while (ours.elapsedMs() < 1.5 * TIMING.takeOverAgeMs) {
        // The Go system takes a heartbeat of this very millisecond for none: it is asked once more then.
        expect((await go.locked()) || (await go.locked())).toBe(true);
        expect(await go.insertFirst()).toBe(false);
        await Bun.sleep(50);
      }
      expect(ours.told).toHaveLength(1);
      expect(ours.lease.claim()?.token).toBe(token);
      expect((await go.leader()).writer).toBe(OUR_ID);
    },
    IN_REAL_TIME,
  );

  test.concurrent(
    "a Go contender's late update ends ours at the next renewal, and a later token follows",
    async () => {
      await using both = await openBoth();
      const { store, sql, contender } = both;
      await insertGoRow(sql, EXPIRED_MS);
      const go = contender();
      const attempt = go.attempt();
      await goOnUntil(attempt, "checked the lock");
      await using ours = startLease(store);
      const gained = await ours.change(0);
      const fence = ours.lease.claim()?.fence;
      if (fence == null) throw new Error("leads, and has no claim");
      const earliestMs = ours.elapsedMs();
      expect(await finish(attempt)).toBe(true);
      const overwrittenMs = ours.elapsedMs();
      expect(await tryAppend(store, fence)).toBe("fenced");

      const lost = await ours.change(1);
      expect(lost).toMatchObject({ leads: false, token: gained.token });
      expect(lost.atMs - overwrittenMs).toBeLessThan(TIMING.renewEveryMs + SLACK_MS);
      expect(ours.lease.claim()).toBeNull();
      expect(await go.leader()).toEqual({ token: go.token, writer: GO_ID });

      // The Go leader renews no more.
      const again = await ours.change(2);
      expect(again.leads).toBe(true);
      expect(again.token).toBeGreaterThan(gained.token);
      expect(again.atMs - earliestMs).toBeGreaterThanOrEqual(TIMING.takeOverAgeMs);
      expect(again.atMs - overwrittenMs).toBeLessThan(TIMING.takeOverAgeMs + SLACK_MS);
    },
    IN_REAL_TIME,
  );

  test.concurrent.each(["committed the marker", "updated the row"] as const)(
    "a marker of one that died after it %s is overcome after one lease and grace, and not before",
    async (step) => {
      await using both = await openBoth();
      const { store, sql, contender } = both;
      await insertGoRow(sql, EXPIRED_MS);
      await goOnUntil(contender().attempt(), step);
      await using ours = startLease(store);
      const gained = await ours.change(0);
      expect(gained.leads).toBe(true);
      expect(gained.atMs).toBeGreaterThanOrEqual(TIMING.takeOverAgeMs);
      expect(gained.atMs).toBeLessThan(TIMING.takeOverAgeMs + SLACK_MS);
      expect(await contender().locked()).toBe(true);
    },
    IN_REAL_TIME,
  );

  test.concurrent(
    "a Go contender that goes on in time keeps the lock, and ours waits from its heartbeat",
    async () => {
      await using both = await openBoth();
      const { store, sql, contender } = both;
      await insertGoRow(sql, EXPIRED_MS);
      const go = contender();
      const attempt = go.attempt();
      await goOnUntil(attempt, "committed the marker");
      await using ours = startLease(store);
      await Bun.sleep(TIMING.takeOverAgeMs / 2);
      const earliestMs = ours.elapsedMs();
      expect(await finish(attempt)).toBe(true);
      const updatedMs = ours.elapsedMs();
      const gained = await ours.change(0);
      expect(gained.atMs - earliestMs).toBeGreaterThanOrEqual(TIMING.takeOverAgeMs);
      expect(gained.atMs - updatedMs).toBeLessThan(TIMING.takeOverAgeMs + SLACK_MS);
    },
    IN_REAL_TIME,
  );

  test.concurrent(
    "a lease that ends well leaves the lock to a Go contender at once, whom ours then respects",
    async () => {
      await using both = await openBoth();
      const { store, contender } = both;
      const first = startLease(store);
      await first.change(0);
      expect(await first.lease.stop()).toBe(first.told[0]?.token ?? null);
      const go = contender();
      expect(await finish(go.attempt())).toBe(true);
      await using second = startLease(store);
      while (second.elapsedMs() < 1.5 * TIMING.takeOverAgeMs) {
        await go.heartbeat();
        expect((await go.leader()).writer).toBe(GO_ID);
        await Bun.sleep(200);
      }
      expect(second.told).toEqual([]);
    },
    IN_REAL_TIME,
  );
});

/** Waits for a condition, with a deadline. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + IN_REAL_TIME.timeout / 3;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what}: not in time`);
    await Bun.sleep(5);
  }
}
