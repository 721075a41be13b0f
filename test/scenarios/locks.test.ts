import { afterEach, expect, test } from "bun:test";
import type { HeldLock } from "../../src/lock/named/held-lock.ts";
import { TURN_MS } from "../../src/lock/named/lines.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { EXPIRY_MS, LOCK_LEASE_MS, lockOf, LockStory, timing } from "./lock-kit.ts";
import { LEASE_MS } from "./world.ts";

let story: LockStory;
afterEach(() => expect(story.wrong).toEqual([]));

test("a free lock is taken, and given back; the next token is greater", () => {
  story = new LockStory();
  story.settledLeader();
  const first = story.taken(story.follower(0));
  expect(first.name).toBe("jobs");
  expect(first.signal.aborted).toBe(false);
  expect(story.outcome(first.release()).error).toBeNull();
  expect(story.outcome(first.release()).error).toBeNull();
  expect(first.signal.aborted).toBe(false);
  const second = story.taken(story.follower(1));
  expect(Number(second.token)).toBeGreaterThan(Number(first.token));
});

test("tryAcquire: one read, taken if it is held, and the lock if it is free", () => {
  story = new LockStory();
  story.settledLeader();
  const held = story.taken(story.follower(0));
  story.forgetLines();
  const refused = story.outcome(lockOf(story.follower(1)).tryAcquire());
  expect(refused.error?.code).toBe("taken");
  expect([story.lines("store read"), story.lines("store acquire")]).toEqual([1, 0]);
  story.outcome(held.release());
  expect(story.outcome(lockOf(story.follower(1)).tryAcquire()).error).toBeNull();
});

test("a held lock is renewed for as long as it is wanted", () => {
  story = new LockStory();
  story.settledLeader();
  const held = story.taken(story.follower());
  story.pass(5 * LOCK_LEASE_MS);
  expect(held.signal.aborted).toBe(false);
  expect(held.heldForMs).toBeGreaterThan(timing.holdMs - timing.renewEveryMs - 10);
  expect(story.observer.named.get("jobs")?.length).toBe(1);
});

test("a holder that is paused past its lease knows it before it does anything else", () => {
  story = new LockStory();
  const [holder, other] = story.followers() as [SimulatedNode, SimulatedNode];
  const held = story.taken(holder);
  const heard: string[] = [];
  held.signal.addEventListener("abort", () => heard.push(held.signal.reason.code));
  const next = story.waiting(other);
  story.cluster.pause(holder);
  const pausedAt = story.now;
  story.untilHeld(next, EXPIRY_MS);
  expect(story.now - pausedAt).toBeGreaterThan(timing.holdMs);
  // By its own clock, though no timer of it has run.
  expect(held.signal.aborted).toBe(true);
  expect(held.heldForMs).toBe(0);
  story.cluster.resume(holder);
  story.pass(100);
  expect(heard).toEqual(["claim_lost"]);
  // It is not held again under the old token, and its release does not disturb the new holder.
  expect(story.outcome(held.release()).error).toBeNull();
  story.pass(2 * LOCK_LEASE_MS);
  expect(next.held?.signal.aborted).toBe(false);
});

test("a holder cut off from the database stops before anybody else can hold it", () => {
  story = new LockStory();
  story.settledLeader();
  // Nobody looks at it: the signal aborts by itself.
  const held = story.outcome(lockOf(story.follower()).acquire()).value as HeldLock;
  const { signal } = held;
  story.cluster.storeFaults.down = true;
  const lostMs = story.until("its signal aborts", LOCK_LEASE_MS, () => signal.aborted);
  expect(lostMs).toBeLessThanOrEqual(timing.holdMs);
  expect(held.signal.reason).toMatchObject({ code: "claim_lost" });
  story.cluster.storeFaults.down = false;
  story.pass(2 * LOCK_LEASE_MS);
  expect(held.signal.aborted).toBe(true);
  const again = story.taken(story.follower());
  expect(Number(again.token)).toBeGreaterThan(Number(held.token));
});

test("an outage shorter than the lease costs nothing", () => {
  story = new LockStory();
  story.settledLeader();
  const held = story.taken(story.follower());
  story.cluster.storeFaults.down = true;
  story.pass(LOCK_LEASE_MS / 2);
  story.cluster.storeFaults.down = false;
  story.pass(2 * LOCK_LEASE_MS);
  expect(held.signal.aborted).toBe(false);
  expect(story.observer.named.get("jobs")?.length).toBe(1);
});

test("L15 of locks: a take-over whose reply is lost is not held: it waits for expiry and takes another token", () => {
  story = new LockStory();
  story.settledLeader();
  const { storeFaults } = story.cluster;
  const tokens = () => story.observer.named.get("jobs") ?? [];
  story.forgetLines();
  let held: HeldLock | null = null;
  void lockOf(story.follower())
    .acquire()
    .then((got) => {
      held = got;
    });
  story.until("the row is read", 100, () => story.lines("store read") === 1);
  storeFaults.lostReply = 1;
  story.until("the take-over is committed", 100, () => tokens().length === 1);
  storeFaults.lostReply = 0;
  const tookMs = story.until("it has the lock", 2 * EXPIRY_MS, () => held !== null);
  expect(tookMs).toBeGreaterThan(timing.takeOverAgeMs - 10);
  expect(tokens().map(String).at(-1)).toBe((held as HeldLock | null)?.token ?? "");
  expect(tokens().length).toBe(2);
});

test("a node that stops gives its locks up, ends what waits, and its signals abort before", () => {
  story = new LockStory({ nodes: 4 });
  const others = story.followers();
  const [stopping, next] = others as [SimulatedNode, SimulatedNode];
  const held = story.taken(stopping);
  const other = story.outcome(lockOf(next, "another").acquire()).value;
  const waits = story.waiting(stopping, {}, "another");
  const waiter = story.waiting(next);
  story.cluster.stop(stopping);
  expect(held.signal.reason).toMatchObject({ code: "claim_lost" });
  story.untilHeld(waiter, TURN_MS);
  expect(waits.error?.code).toBe("stopped");
  expect(other?.signal.aborted).toBe(false);
  expect(story.outcome(lockOf(stopping).acquire()).error?.code).toBe("stopped");
  expect(story.outcome(lockOf(stopping).tryAcquire()).error?.code).toBe("stopped");
});

test("the leader stops while it holds a lock: who waits has it when another leads", () => {
  story = new LockStory();
  const leader = story.settledLeader();
  story.taken(leader);
  const waiter = story.waiting(story.follower());
  story.cluster.stop(leader);
  story.untilHeld(waiter, 1_000);
});

test("many locks of one node are held at once, each renewed by itself", () => {
  story = new LockStory();
  story.settledLeader();
  const node = story.follower();
  const names = Array.from({ length: 50 }, (_, i) => `job-${i}`);
  const all = names.map((name) => story.outcome(lockOf(node, name).acquire()).value as HeldLock);
  story.forgetLines();
  story.pass(3 * LOCK_LEASE_MS);
  expect(all.every(({ signal }) => !signal.aborted)).toBe(true);
  // Three renewals a lease for each, and the leader's own.
  const leaders = (3 * LOCK_LEASE_MS) / leaseTiming(LEASE_MS).renewEveryMs;
  expect(story.lines("store renew")).toBeLessThanOrEqual(50 * 9 + leaders + 1);
  story.outcome(Promise.all(all.map((held) => held.release())));
  const other = story.follower(1);
  for (const name of names)
    expect(story.outcome(lockOf(other, name).tryAcquire()).error).toBeNull();
});

test("a store that fails all the time: the time-out says why", () => {
  story = new LockStory();
  const node = story.settledLeader();
  story.cluster.storeFaults.refusal = 1;
  const { error, tookMs } = story.outcome(lockOf(node).acquire({ timeoutMs: 1_500 }));
  expect(error?.code).toBe("timeout");
  expect(error?.message).toContain("store: read refused");
  expect(tookMs).toBeCloseTo(1_500, 0);
  const tried = story.outcome(lockOf(node).tryAcquire());
  expect(tried.error?.code).toBe("unavailable");
  story.cluster.storeFaults.refusal = 0;
  expect(story.outcome(lockOf(node).acquire()).error).toBeNull();
});

test("names that could be another row, and leases that are none, are refused", () => {
  story = new LockStory();
  const { locks } = story.settledLeader().core;
  for (const name of ["", "hedge/spindle/x", "hedge/spindle/lockname/simulated", "demo_123", "_0"])
    expect(() => locks.lock(name)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  expect(() => locks.lock("x".repeat(1025))).toThrow(
    expect.objectContaining({ code: "too_large" }),
  );
  for (const leaseMs of [999, Number.NaN, Infinity, -1])
    expect(() => locks.lock("x", { leaseMs })).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
  for (const name of ["demo_", "demo_123x", "demo_canary", "hedge", "名前\n%"])
    expect(locks.lock(name).name).toBe(name);
});
