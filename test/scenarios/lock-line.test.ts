import { afterEach, expect, test } from "bun:test";
import { REFRESH_MS, TURN_MS } from "../../src/lock/named/lines.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { EXPIRY_MS, HAND_OVER_MS, lockOf, LockStory } from "./lock-kit.ts";

let story: LockStory;
afterEach(() => expect(story.wrong).toEqual([]));

test("a release hands over to the next within some trips, without a read of the row", () => {
  story = new LockStory();
  story.settledLeader();
  const held = story.taken(story.follower(0));
  const next = story.waiting(story.follower(1));
  story.pass(1_000);
  story.forgetLines();
  void held.release();
  const tookMs = story.untilHeld(next, 100);
  expect(tookMs).toBeLessThan(HAND_OVER_MS);
  expect([story.lines("store read"), story.lines("store acquire")]).toEqual([0, 1]);
  // The holder knows who is next, and tells that one itself.
  const [holder, waiter] = [story.follower(0).address, story.follower(1).address];
  expect(story.lines(`${holder} > ${waiter} hedgerow.v1.ClaimService/LockTurn`)).toBe(1);
  expect(story.lines("ClaimService/LockTurn")).toBe(1);
});

test("the one that the holder tells has just died, or does not answer: the next has the lock soon", () => {
  for (const [fault, withinMs] of [
    ["crash", HAND_OVER_MS],
    ["pause", TURN_MS + HAND_OVER_MS],
  ] as const) {
    story = new LockStory({ nodes: 4 });
    const [holder, first, second] = story.followers() as [
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
    ];
    const held = story.taken(holder);
    story.waiting(first);
    const next = story.waiting(second);
    story.cluster[fault](first);
    void held.release();
    expect(story.untilHeld(next, 2 * TURN_MS)).toBeLessThan(withinMs);
  }
});

test("S4 of locks: waiters on all nodes are served in the order in which they came", () => {
  story = new LockStory({ nodes: 4 });
  story.settledLeader();
  const { nodes } = story.cluster;
  const held = story.taken(nodes[0] as SimulatedNode);
  // Several wait on one node, with others from elsewhere between them.
  const order = [1, 2, 1, 0, 3, 1, 2, 0];
  const waiters = order.map((node) => story.waiting(nodes[node] as SimulatedNode));
  void held.release();
  for (const [i, waiter] of waiters.entries()) {
    story.until(`waiter ${i} has it`, 2 * TURN_MS, () => waiter.held !== null);
    expect(waiters.filter(({ held: has }) => has !== null).length).toBe(i + 1);
    void waiter.held?.release();
  }
});

test("who releases and asks again at once comes last", () => {
  story = new LockStory();
  story.settledLeader();
  const greedy = story.follower(0);
  const held = story.taken(greedy);
  const patient = story.waiting(story.follower(1));
  const again = held.release().then(() => lockOf(greedy).acquire());
  story.until("the patient one has it", 100, () => patient.held !== null);
  void patient.held?.release();
  expect(story.outcome(again).tookMs).toBeLessThan(HAND_OVER_MS + 10);
});

test("200 waiters: each release costs one take-over, and nobody is passed over", () => {
  story = new LockStory({ nodes: 4 });
  story.settledLeader();
  const { nodes } = story.cluster;
  const held = story.taken(nodes[0] as SimulatedNode);
  const waiters = Array.from({ length: 200 }, (_, i) =>
    story.waiting(nodes[i % 4] as SimulatedNode),
  );
  story.pass(2_000);
  story.forgetLines();
  void held.release();
  const startedAt = story.now;
  for (const [i, waiter] of waiters.entries()) {
    story.until(`waiter ${i} has it`, TURN_MS / 2, () => waiter.held !== null);
    void waiter.held?.release();
  }
  expect(story.now - startedAt).toBeLessThan(200 * HAND_OVER_MS);
  // The first waiter of a node looks once; from then on nobody does.
  expect(story.lines("store acquire")).toBeLessThanOrEqual(202);
  expect(story.lines("store read")).toBeLessThanOrEqual(8);
});

test("a holder that crashes is followed by the first in the line, once its lease is over", () => {
  story = new LockStory({ nodes: 4 });
  const [holder, first, second] = story.followers() as [
    SimulatedNode,
    SimulatedNode,
    SimulatedNode,
  ];
  story.taken(holder);
  const next = story.waiting(first);
  const last = story.waiting(second);
  story.cluster.crash(holder);
  story.untilHeld(next, EXPIRY_MS);
  expect(last.held).toBeNull();
});

test("another leader while they wait: they keep their order, and a release reaches the next", () => {
  story = new LockStory({ nodes: 5 });
  const others = story.followers();
  const held = story.taken(others[0] as SimulatedNode);
  const waiters = [1, 2, 3].map((i) => story.waiting(others[i] as SimulatedNode));
  story.cluster.crash(story.settledLeader());
  story.settledLeader();
  story.pass(500);
  void held.release();
  for (const waiter of waiters) {
    story.untilHeld(waiter, 2 * TURN_MS);
    story.pass(50);
    expect(waiters.filter(({ held: has }) => has !== null).at(-1)).toBe(waiter);
    void waiter.held?.release();
  }
});

test("a release between two leaders is found by the next in the line when another leads", () => {
  story = new LockStory({ nodes: 4 });
  const others = story.followers();
  const held = story.taken(others[0] as SimulatedNode);
  const next = story.waiting(others[1] as SimulatedNode);
  story.cluster.crash(story.settledLeader());
  story.outcome(held.release());
  expect(next.held).toBeNull();
  story.settledLeader();
  story.untilHeld(next, 200);
});

test("without any leader locks are taken and given back all the same", () => {
  story = new LockStory({ nodes: 2 });
  story.cluster.crash(story.settledLeader());
  const node = story.follower();
  const held = story.taken(node);
  expect(story.cluster.leaders()).toEqual([]);
  story.outcome(held.release());
  expect(story.outcome(lockOf(node).acquire()).error).toBeNull();
});

test("the first in the line does not come: the next is told after a moment", () => {
  story = new LockStory({ nodes: 5 });
  const others = story.followers();
  const held = story.taken(others[0] as SimulatedNode);
  const first = story.waiting(others[1] as SimulatedNode);
  const second = story.waiting(others[2] as SimulatedNode);
  story.cluster.pause(others[1] as SimulatedNode);
  void held.release();
  const tookMs = story.untilHeld(second, 2 * TURN_MS);
  expect(tookMs).toBeLessThan(TURN_MS + HAND_OVER_MS);
  // On waking it finds the lock held, keeps its place, and has it next.
  story.cluster.resume(others[1] as SimulatedNode);
  story.pass(1_000);
  expect(first.held).toBeNull();
  void second.held?.release();
  story.until("the first has it", 2 * TURN_MS, () => first.held !== null);
});

test("one that gives up waiting leaves its place at once", () => {
  story = new LockStory({ nodes: 4 });
  const others = story.followers();
  const held = story.taken(others[0] as SimulatedNode);
  const giveUp = new AbortController();
  const impatient = story.waiting(others[1] as SimulatedNode, { timeoutMs: 700 });
  const canceled = story.waiting(others[1] as SimulatedNode, { signal: giveUp.signal });
  const patient = story.waiting(others[2] as SimulatedNode);
  story.pass(300);
  giveUp.abort();
  story.pass(1);
  expect(canceled.error?.code).toBe("canceled");
  story.until("it gives up", 401, () => impatient.error !== null);
  expect(impatient.error?.code).toBe("timeout");
  story.pass(10);
  void held.release();
  const tookMs = story.untilHeld(patient, TURN_MS);
  expect(tookMs).toBeLessThan(HAND_OVER_MS);
});

test("one that is given the lock as it gives up gives it back, and the next has it", () => {
  for (let ms = 1; ms < 15; ms++) {
    story = new LockStory({ nodes: 4 }, ms);
    const others = story.followers();
    const held = story.taken(others[0] as SimulatedNode);
    const giveUp = new AbortController();
    const first = story.waiting(others[1] as SimulatedNode, { signal: giveUp.signal });
    const second = story.waiting(others[2] as SimulatedNode);
    void held.release();
    story.pass(ms);
    giveUp.abort();
    story.pass(1);
    if (first.held !== null) void first.held.release();
    story.until(`the next has it, ${ms} ms`, 2 * TURN_MS, () => second.held !== null);
  }
});

test("cut off from the leader, but not from the database, one waits by the holder's lease alone", () => {
  story = new LockStory({ nodes: 4 });
  const others = story.followers();
  const [holder, lonely, other] = others as [SimulatedNode, SimulatedNode, SimulatedNode];
  const held = story.taken(holder);
  const next = story.waiting(lonely);
  story.cluster.partition([lonely], false);
  story.pass(100);
  void held.release();
  story.until("it looks at the row", EXPIRY_MS, () => next.held !== null);
  story.cluster.network.healAll();
  void next.held?.release();
  expect(story.outcome(lockOf(other).acquire()).tookMs).toBeLessThan(TURN_MS);
});

test("one that was cut off while it waited stands in the line again after that", () => {
  for (let seed = 1; seed <= 12; seed++) {
    story = new LockStory({ nodes: 4 }, seed);
    const others = story.followers();
    const [holder, lonely, other] = others as [SimulatedNode, SimulatedNode, SimulatedNode];
    const first = story.taken(holder);
    const cut = story.waiting(lonely);
    const second = story.waiting(other);
    // Each has had its first look at the row, which comes late where the holder's place was still in the line. One
    // that is cut off before that finds the lock free by itself.
    story.pass(2 * TURN_MS);
    story.cluster.partition([lonely], false);
    void first.release();
    story.until("the leader passes it over", 2 * TURN_MS, () => second.held !== null);
    story.cluster.network.healAll();
    story.pass(2 * REFRESH_MS);
    expect(cut.held).toBeNull();
    void second.held?.release();
    const tookMs = story.untilHeld(cut, 2 * TURN_MS);
    expect(tookMs).toBeLessThan(HAND_OVER_MS);
    expect(story.wrong).toEqual([]);
  }
});

test("the news of a release is lost: the next finds out by the holder's lease", () => {
  story = new LockStory({ nodes: 4 });
  const others = story.followers();
  const [holder, other] = others as [SimulatedNode, SimulatedNode];
  const held = story.taken(holder);
  const next = story.waiting(other);
  story.cluster.network.cut(holder.address, story.settledLeader().address);
  story.outcome(held.release());
  story.untilHeld(next, EXPIRY_MS);
});

test("who does not wait for anything asks nobody for anything", () => {
  story = new LockStory();
  story.settledLeader();
  const held = story.taken(story.follower());
  story.outcome(held.release());
  story.pass(100);
  story.forgetLines();
  story.pass(60_000);
  expect(story.cluster.trace.lines.filter((line) => line.includes("ClaimService"))).toEqual([]);
});
