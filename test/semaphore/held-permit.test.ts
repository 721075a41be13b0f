import { expect, test } from "bun:test";
import { HeldPermit } from "../../src/semaphore/held-permit.ts";
import { heldUntil, permitTiming } from "../../src/semaphore/timing.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";
import { Machine } from "../simulation/world/machine.ts";

const CLAIM = { semaphore: "s", owner: "o", grant: "g" };

function held(deadline: number) {
  const scheduler = new Scheduler();
  const machine = new Machine(scheduler);
  const told = { lost: 0, givenBack: 0 };
  const permit = new HeldPermit(CLAIM, deadline, {
    clock: machine,
    detached: false,
    onLost: () => told.lost++,
    giveBack: async () => void told.givenBack++,
  });
  return { permit, scheduler, machine, told };
}

test("it is lost at its deadline, by itself, once", () => {
  const { permit, scheduler, told } = held(1_000);
  const { signal } = permit;
  scheduler.runUntil(999);
  expect([permit.held, permit.heldForMs, signal.aborted]).toEqual([true, 1, false]);
  scheduler.runUntil(1_000);
  expect([permit.held, permit.heldForMs, signal.aborted]).toEqual([false, 0, true]);
  expect(signal.reason).toMatchObject({
    code: "claim_lost",
    message: "permit of s is lost: not renewed in time",
  });
  permit.lose("again");
  expect(told).toEqual({ lost: 1, givenBack: 0 });
});

test("a renewal prolongs it, never shortens it, and is too late after the deadline", () => {
  const { permit, scheduler } = held(1_000);
  permit.prolong(3_000);
  permit.prolong(2_000);
  scheduler.runUntil(2_999);
  expect(permit.heldForMs).toBe(1);
  scheduler.runUntil(3_000);
  permit.prolong(9_000);
  expect([permit.held, permit.signal.aborted]).toEqual([false, true]);
});

test("the clock counts, though no timer has run", () => {
  const { permit, scheduler, machine } = held(1_000);
  machine.pause();
  scheduler.runUntil(5_000);
  permit.prolong(9_000);
  expect(permit.held).toBe(false);
  expect(permit.signal.aborted).toBe(true);
});

test("a release is no loss, is made once, and ends it at once", async () => {
  const { permit, scheduler, told } = held(1_000);
  const first = permit.release();
  expect([permit.held, permit.signal.aborted]).toEqual([false, false]);
  await Promise.all([first, permit.release(), permit[Symbol.asyncDispose]()]);
  scheduler.runUntil(5_000);
  permit.lose("late");
  expect(told).toEqual({ lost: 0, givenBack: 1 });
  expect(permit.signal.aborted).toBe(false);
});

test("what was lost can be given back still", async () => {
  const { permit, scheduler, told } = held(1_000);
  scheduler.runUntil(2_000);
  await permit.release();
  expect(told).toEqual({ lost: 1, givenBack: 1 });
});

test.each([2_000, 5_000, 30_000, 86_400_000])(
  "a lease of %d ms: permits outlast a fail-over, and end before they are given away",
  (nodeLeaseMs) => {
    const timing = permitTiming(nodeLeaseMs);
    const holdMs = heldUntil(0, timing.leaseMs);
    // Both clocks are off by 5 %, in the wrong directions.
    expect(holdMs / 0.95).toBeLessThan(timing.revokeAfterMs / 1.05);
    // The same for a grant that was waited for as long as may be.
    const waited = heldUntil(0, timing.leaseMs + timing.pollMs);
    expect(waited / 0.95).toBeLessThan(timing.pollMs / 1.05 + timing.revokeAfterMs / 1.05);
    // A leader dies right before a renewal: what is left of the lease, and the time until another leads.
    const leftMs = holdMs - timing.renewEveryMs;
    const { takeOverAgeMs, retryMs } = leaseTiming(nodeLeaseMs);
    expect(leftMs).toBeGreaterThan(takeOverAgeMs + retryMs + 500);
    // Who is asked again in time has its place still.
    expect(timing.keepPlaceMs).toBeGreaterThan(timing.lateMs);
  },
);
