import { afterEach, expect, test } from "bun:test";
import type { HedgerowError } from "../../src/errors.ts";
import type { HeldLock } from "../../src/lock/named/held-lock.ts";
import { TURN_MS } from "../../src/lock/named/lines.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { LEASE_MS, Story } from "./world.ts";

const LOCK_LEASE_MS = 10_000;
const timing = leaseTiming(LOCK_LEASE_MS);
/** From the last heartbeat to the next holder at the latest: expiry, and one retry. */
const EXPIRY_MS = timing.takeOverAgeMs + 500;
/** From a release to the next holder: the release's reply, three messages, the take-over, all at their slowest. */
const HAND_OVER_MS = 20;

let story: Story;
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

const lockOf = ({ core }: SimulatedNode, name = "jobs") => core.locks.lock(name);

function taken(node: SimulatedNode): HeldLock {
  const { value, error } = story.outcome(lockOf(node).acquire());
  if (value === null) throw error;
  return value;
}

/** A call to acquire that goes on while the story does. */
function waiting(node: SimulatedNode, options = {}, name = "jobs") {
  const waiter = { held: null as HeldLock | null, error: null as HedgerowError | null };
  lockOf(node, name)
    .acquire(options)
    .then(
      (held) => void (waiter.held = held),
      (error: HedgerowError) => void (waiter.error = error),
    );
  story.pass(5);
  return waiter;
}

const lines = (what: string) =>
  story.cluster.trace.lines.filter((line) => line.endsWith(what)).length;

test("a free lock is taken, and given back; the next token is greater", () => {
  story = new Story();
  story.settledLeader();
  const first = taken(story.follower(0));
  expect(first.name).toBe("jobs");
  expect(first.signal.aborted).toBe(false);
  expect(story.outcome(first.release()).error).toBeNull();
  expect(story.outcome(first.release()).error).toBeNull();
  expect(first.signal.aborted).toBe(false);
  const second = taken(story.follower(1));
  expect(Number(second.token)).toBeGreaterThan(Number(first.token));
});

test("tryAcquire: one read, taken if it is held, and the lock if it is free", () => {
  story = new Story({ keepLines: true });
  story.settledLeader();
  const held = taken(story.follower(0));
  story.cluster.trace.lines.length = 0;
  const refused = story.outcome(lockOf(story.follower(1)).tryAcquire());
  expect(refused.error?.code).toBe("taken");
  expect([lines("store read"), lines("store acquire")]).toEqual([1, 0]);
  story.outcome(held.release());
  expect(story.outcome(lockOf(story.follower(1)).tryAcquire()).error).toBeNull();
});

test("a held lock is renewed for as long as it is wanted", () => {
  story = new Story();
  story.settledLeader();
  const held = taken(story.follower());
  story.pass(5 * LOCK_LEASE_MS);
  expect(held.signal.aborted).toBe(false);
  expect(held.heldForMs).toBeGreaterThan(timing.holdMs - timing.renewEveryMs - 10);
  expect(story.observer.named.get("jobs")?.length).toBe(1);
});

test("a release hands over to the next within some trips, without a read of the row", () => {
  story = new Story({ keepLines: true });
  story.settledLeader();
  const held = taken(story.follower(0));
  const next = waiting(story.follower(1));
  story.pass(1_000);
  story.cluster.trace.lines.length = 0;
  void held.release();
  const tookMs = story.until("the next has it", 100, () => next.held !== null);
  expect(tookMs).toBeLessThan(HAND_OVER_MS);
  expect([lines("store read"), lines("store acquire")]).toEqual([0, 1]);
});

test("S4 of locks: waiters on all nodes are served in the order in which they came", () => {
  story = new Story({ nodes: 4 });
  story.settledLeader();
  const { nodes } = story.cluster;
  const held = taken(nodes[0] as SimulatedNode);
  // Several wait on one node, with others from elsewhere between them.
  const order = [1, 2, 1, 0, 3, 1, 2, 0];
  const waiters = order.map((node) => waiting(nodes[node] as SimulatedNode));
  void held.release();
  for (const [i, waiter] of waiters.entries()) {
    story.until(`waiter ${i} has it`, 2 * TURN_MS, () => waiter.held !== null);
    expect(waiters.filter(({ held: has }) => has !== null).length).toBe(i + 1);
    void waiter.held?.release();
  }
});

test("who releases and asks again at once comes last", () => {
  story = new Story();
  story.settledLeader();
  const greedy = story.follower(0);
  const held = taken(greedy);
  const patient = waiting(story.follower(1));
  const again = held.release().then(() => lockOf(greedy).acquire());
  story.until("the patient one has it", 100, () => patient.held !== null);
  void patient.held?.release();
  expect(story.outcome(again).tookMs).toBeLessThan(HAND_OVER_MS + 10);
});

test("200 waiters: each release costs one take-over, and nobody is passed over", () => {
  story = new Story({ nodes: 4, keepLines: true });
  story.settledLeader();
  const { nodes } = story.cluster;
  const held = taken(nodes[0] as SimulatedNode);
  const waiters = Array.from({ length: 200 }, (_, i) => waiting(nodes[i % 4] as SimulatedNode));
  story.pass(2_000);
  story.cluster.trace.lines.length = 0;
  void held.release();
  const startedAt = story.now;
  for (const [i, waiter] of waiters.entries()) {
    story.until(`waiter ${i} has it`, TURN_MS / 2, () => waiter.held !== null);
    void waiter.held?.release();
  }
  expect(story.now - startedAt).toBeLessThan(200 * HAND_OVER_MS);
  expect(lines("store acquire")).toBeLessThanOrEqual(205);
  expect(lines("store read")).toBeLessThanOrEqual(2 * 200);
  const leaders = lines("store renew");
  expect(leaders).toBeLessThan(20);
});

test("a holder that crashes is followed by the first in the line, once its lease is over", () => {
  story = new Story({ nodes: 4 });
  const leader = story.settledLeader();
  const [holder, first, second] = story.cluster.nodes.filter((node) => node !== leader);
  if (!holder || !first || !second) throw new Error("four nodes");
  taken(holder);
  const next = waiting(first);
  const last = waiting(second);
  story.cluster.crash(holder);
  story.until("the next has it", EXPIRY_MS, () => next.held !== null);
  expect(last.held).toBeNull();
});

test("a holder that is paused past its lease knows it before it does anything else", () => {
  story = new Story();
  const leader = story.settledLeader();
  const [holder, other] = story.cluster.nodes.filter((node) => node !== leader);
  if (!holder || !other) throw new Error("three nodes");
  const held = taken(holder);
  const heard: string[] = [];
  held.signal.addEventListener("abort", () => heard.push(held.signal.reason.code));
  const next = waiting(other);
  story.cluster.pause(holder);
  const pausedAt = story.now;
  story.until("the next has it", EXPIRY_MS, () => next.held !== null);
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
  story = new Story();
  story.settledLeader();
  const held = taken(story.follower());
  story.cluster.storeFaults.down = true;
  const lostMs = story.until("its signal aborts", LOCK_LEASE_MS, () => held.signal.aborted);
  expect(lostMs).toBeLessThanOrEqual(timing.holdMs);
  expect(held.signal.reason).toMatchObject({ code: "claim_lost" });
  story.cluster.storeFaults.down = false;
  story.pass(2 * LOCK_LEASE_MS);
  expect(held.signal.aborted).toBe(true);
  const again = taken(story.follower());
  expect(Number(again.token)).toBeGreaterThan(Number(held.token));
});

test("an outage shorter than the lease costs nothing", () => {
  story = new Story();
  story.settledLeader();
  const held = taken(story.follower());
  story.cluster.storeFaults.down = true;
  story.pass(LOCK_LEASE_MS / 2);
  story.cluster.storeFaults.down = false;
  story.pass(2 * LOCK_LEASE_MS);
  expect(held.signal.aborted).toBe(false);
  expect(story.observer.named.get("jobs")?.length).toBe(1);
});

test("L15 of locks: a take-over whose reply is lost is not held: it waits for expiry and takes another token", () => {
  story = new Story({ keepLines: true });
  story.settledLeader();
  const { storeFaults } = story.cluster;
  const tokens = () => story.observer.named.get("jobs") ?? [];
  story.cluster.trace.lines.length = 0;
  let held: HeldLock | null = null;
  void lockOf(story.follower())
    .acquire()
    .then((got) => (held = got));
  story.until("the row is read", 100, () => lines("store read") === 1);
  storeFaults.lostReply = 1;
  story.until("the take-over is committed", 100, () => tokens().length === 1);
  storeFaults.lostReply = 0;
  const tookMs = story.until("it has the lock", 2 * EXPIRY_MS, () => held !== null);
  expect(tookMs).toBeGreaterThan(timing.takeOverAgeMs - 10);
  expect(tokens().map(String).at(-1)).toBe((held as HeldLock | null)?.token ?? "");
  expect(tokens().length).toBe(2);
});

test("another leader while they wait: they keep their order, and a release reaches the next", () => {
  story = new Story({ nodes: 5 });
  const leader = story.settledLeader();
  const others = story.cluster.nodes.filter((node) => node !== leader);
  const held = taken(others[0] as SimulatedNode);
  const waiters = [1, 2, 3].map((i) => waiting(others[i] as SimulatedNode));
  story.cluster.crash(leader);
  story.settledLeader();
  story.pass(500);
  void held.release();
  for (const waiter of waiters) {
    story.until("the next has it", 2 * TURN_MS, () => waiter.held !== null);
    story.pass(50);
    expect(waiters.filter(({ held: has }) => has !== null).at(-1)).toBe(waiter);
    void waiter.held?.release();
  }
});

test("a release between two leaders is found by the next in the line when another leads", () => {
  story = new Story({ nodes: 4 });
  const leader = story.settledLeader();
  const others = story.cluster.nodes.filter((node) => node !== leader);
  const held = taken(others[0] as SimulatedNode);
  const next = waiting(others[1] as SimulatedNode);
  story.cluster.crash(leader);
  story.outcome(held.release());
  expect(next.held).toBeNull();
  story.settledLeader();
  story.until("the next has it", 200, () => next.held !== null);
});

test("without any leader locks are taken and handed over all the same, by expiry", () => {
  story = new Story({ nodes: 2 });
  const leader = story.settledLeader();
  const node = story.follower();
  story.cluster.crash(leader);
  const held = taken(node);
  expect(story.cluster.leaders()).toEqual([]);
  story.outcome(held.release());
  expect(story.outcome(lockOf(node).acquire()).error).toBeNull();
});

test("the first in the line does not come: the next is told after a moment", () => {
  story = new Story({ nodes: 5 });
  const leader = story.settledLeader();
  const others = story.cluster.nodes.filter((node) => node !== leader);
  const held = taken(others[0] as SimulatedNode);
  const first = waiting(others[1] as SimulatedNode);
  const second = waiting(others[2] as SimulatedNode);
  story.cluster.pause(others[1] as SimulatedNode);
  void held.release();
  const tookMs = story.until("the next has it", 2 * TURN_MS, () => second.held !== null);
  expect(tookMs).toBeLessThan(TURN_MS + HAND_OVER_MS);
  // On waking it finds the lock held, keeps its place, and has it next.
  story.cluster.resume(others[1] as SimulatedNode);
  story.pass(1_000);
  expect(first.held).toBeNull();
  void second.held?.release();
  story.until("the first has it", 2 * TURN_MS, () => first.held !== null);
});

test("one that gives up waiting leaves its place at once", () => {
  story = new Story({ nodes: 4 });
  const leader = story.settledLeader();
  const others = story.cluster.nodes.filter((node) => node !== leader);
  const held = taken(others[0] as SimulatedNode);
  const giveUp = new AbortController();
  const impatient = waiting(others[1] as SimulatedNode, { timeoutMs: 700 });
  const canceled = waiting(others[1] as SimulatedNode, { signal: giveUp.signal });
  const patient = waiting(others[2] as SimulatedNode);
  story.pass(300);
  giveUp.abort();
  story.pass(1);
  expect(canceled.error?.code).toBe("canceled");
  story.until("it gives up", 401, () => impatient.error !== null);
  expect(impatient.error?.code).toBe("timeout");
  story.pass(10);
  void held.release();
  const tookMs = story.until("the next has it", TURN_MS, () => patient.held !== null);
  expect(tookMs).toBeLessThan(HAND_OVER_MS);
});

test("one that is given the lock as it gives up gives it back, and the next has it", () => {
  for (let ms = 1; ms < 15; ms++) {
    story = new Story({ nodes: 4 }, ms);
    const leader = story.settledLeader();
    const others = story.cluster.nodes.filter((node) => node !== leader);
    const held = taken(others[0] as SimulatedNode);
    const giveUp = new AbortController();
    const first = waiting(others[1] as SimulatedNode, { signal: giveUp.signal });
    const second = waiting(others[2] as SimulatedNode);
    void held.release();
    story.pass(ms);
    giveUp.abort();
    story.pass(1);
    if (first.held !== null) void first.held.release();
    story.until(`the next has it, ${ms} ms`, 2 * TURN_MS, () => second.held !== null);
  }
});

test("a node that stops gives its locks up, ends what waits, and its signals abort before", () => {
  story = new Story({ nodes: 4 });
  const leader = story.settledLeader();
  const others = story.cluster.nodes.filter((node) => node !== leader);
  const [stopping, next] = others as [SimulatedNode, SimulatedNode];
  const held = taken(stopping);
  const other = story.outcome(lockOf(next, "another").acquire()).value;
  const waits = waiting(stopping, {}, "another");
  const waiter = waiting(next);
  story.cluster.stop(stopping);
  expect(held.signal.reason).toMatchObject({ code: "claim_lost" });
  story.until("the next has it", TURN_MS, () => waiter.held !== null);
  expect(waits.error?.code).toBe("stopped");
  expect(other?.signal.aborted).toBe(false);
  expect(story.outcome(lockOf(stopping).acquire()).error?.code).toBe("stopped");
  expect(story.outcome(lockOf(stopping).tryAcquire()).error?.code).toBe("stopped");
});

test("the leader stops while it holds a lock: who waits has it when another leads", () => {
  story = new Story();
  const leader = story.settledLeader();
  taken(leader);
  const waiter = waiting(story.follower());
  story.cluster.stop(leader);
  story.until("the next has it", 1_000, () => waiter.held !== null);
});

test("names that could be another row, and leases that are none, are refused", () => {
  story = new Story();
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

test("who does not wait for anything asks nobody for anything", () => {
  story = new Story({ keepLines: true });
  story.settledLeader();
  const held = taken(story.follower());
  story.outcome(held.release());
  story.pass(100);
  story.cluster.trace.lines.length = 0;
  story.pass(60_000);
  expect(story.cluster.trace.lines.filter((line) => line.includes("ClaimService"))).toEqual([]);
});
