import { afterEach, describe, expect, test } from "bun:test";
import type { HeldPermit } from "../../src/semaphore/held-permit.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import {
  EXPIRY_MS,
  FAIL_OVER_MS,
  HAND_OVER_MS,
  SemaphoreStory,
  timing,
  type Waiter,
} from "./semaphore-kit.ts";
import { LEASE_MS } from "./world.ts";

let story: SemaphoreStory;
afterEach(() => expect(story.wrong).toEqual([]));

/** Releases what is held, again and again; gives the order in which the waiters were served. */
function serveAll(first: HeldPermit, waiters: readonly Waiter[]): number[] {
  const order: number[] = [];
  let held = first;
  while (order.length < waiters.length) {
    void held.release();
    let served = -1;
    story.until("the next is served", HAND_OVER_MS, () => {
      served = waiters.findIndex(({ permit }, i) => permit !== null && !order.includes(i));
      return served >= 0;
    });
    order.push(served);
    held = waiters[served]?.permit as HeldPermit;
  }
  return order;
}

describe("S4: first come, first served", () => {
  test("on all nodes, the leader's own included", () => {
    story = new SemaphoreStory();
    const cast = story.cast();
    const first = story.taken(cast[1]);
    const waiters = Array.from({ length: 12 }, (_, i) =>
      story.waiting(cast[(i * 7) % 3] as SimulatedNode, { owner: `owner-${i}` }),
    );
    expect(serveAll(first, waiters)).toEqual(waiters.map((_, i) => i));
  });

  test("who waits is woken by the release: one message, one transaction, one message", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.pass(10 * timing.pollMs);
    story.forgetLines();
    void held.release();
    expect(story.untilHeld(next, HAND_OVER_MS)).toBeGreaterThan(0);
    expect(story.lines("store change permits answer")).toBe(1);
    expect(story.lines("store read permits")).toBe(0);
    expect(story.lines("AwaitPermits reply")).toBe(1);
  });

  test("waiting asks the store nothing, and the leader once per node for all that wait", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    story.taken(holder);
    for (let i = 0; i < 20; i++) story.waiting(other, { owner: `owner-${i}` });
    story.pass(100);
    story.forgetLines();
    story.pass(20 * timing.pollMs);
    expect(story.lines("permits")).toBe(0);
    expect(story.lines("AwaitPermits reply")).toBeWithin(18, 21);
    expect(story.lines("AcquirePermit")).toBe(0);
  });

  test("a node that neither holds nor waits says nothing", () => {
    story = new SemaphoreStory();
    const [, holder] = story.cast();
    story.release(story.taken(holder));
    story.pass(10);
    story.forgetLines();
    story.pass(10 * timing.leaseMs);
    expect([story.lines("ClaimService"), story.lines("permits")]).toEqual([0, 0]);
  });

  test("nobody overtakes: tryAcquire finds it full while others wait for what is free", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other, { owner: "waits" });
    void held.release();
    story.pass(1.5);
    expect(story.try(other, { owner: "tries" }).error?.code).toBe("taken");
    story.untilHeld(next, HAND_OVER_MS);
  });

  test("the order outlives the leader", () => {
    story = new SemaphoreStory({ nodes: 5 });
    const leader = story.settledLeader();
    const others = [0, 1, 2, 3].map((i) => story.follower(i));
    const first = story.taken(others[0] as SimulatedNode);
    const waiters = Array.from({ length: 9 }, (_, i) => {
      const waiter = story.waiting(others[(i * 5) % 4] as SimulatedNode, { owner: `owner-${i}` });
      story.pass(20);
      return waiter;
    });
    story.cluster.crash(leader);
    story.pass(FAIL_OVER_MS);
    expect(serveAll(first, waiters)).toEqual(waiters.map((_, i) => i));
  });

  test("who waits is served across a planned change of leader, too", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.cluster.stop(leader);
    story.until("another leads", 1_000, () => story.cluster.leaders()[0] !== leader);
    expect(held.signal.aborted).toBe(false);
    story.pass(500);
    void held.release();
    story.untilHeld(next, 100);
  });
});

describe("who does not want it any more", () => {
  test("a time-out and a cancellation leave the line", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const controller = new AbortController();
    const late = story.waiting(other, { owner: "late", timeoutMs: 500 });
    const canceled = story.waiting(other, { owner: "canceled", signal: controller.signal });
    const next = story.waiting(other, { owner: "next" });
    story.pass(300);
    controller.abort();
    story.pass(300);
    expect([late.error?.code, canceled.error?.code]).toEqual(["timeout", "canceled"]);
    expect(late.error?.message).toBe(
      'semaphore "jobs": not done within 500 ms (the one permit is held)',
    );
    void held.release();
    story.untilHeld(next, HAND_OVER_MS);
    story.pass(1_000);
    expect(story.owners()).toEqual(["next"]);
  });

  test("one that dies loses its place, and keeps the others waiting for no longer than that takes", () => {
    story = new SemaphoreStory({ nodes: 4 });
    story.settledLeader();
    const [holder, dead, other] = [0, 1, 2].map((i) => story.follower(i)) as [
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
    ];
    const held = story.taken(holder);
    const gone = story.waiting(dead);
    const next = story.waiting(other);
    story.cluster.crash(dead);
    story.pass(timing.pollMs + timing.keepPlaceMs);
    void held.release();
    story.untilHeld(next, HAND_OVER_MS);
    expect(gone.permit).toBeNull();
  });

  test("one that dies between asking and being told: its permit is given on once its lease is over", () => {
    story = new SemaphoreStory({ nodes: 4 });
    story.settledLeader();
    const [holder, dead, other] = [0, 1, 2].map((i) => story.follower(i)) as [
      SimulatedNode,
      SimulatedNode,
      SimulatedNode,
    ];
    const held = story.taken(holder);
    story.waiting(dead);
    const next = story.waiting(other);
    story.cluster.crash(dead);
    void held.release();
    story.untilHeld(next, EXPIRY_MS + HAND_OVER_MS);
  });

  test("one that is cut off for a while keeps its place", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const first = story.waiting(other, { owner: "first" });
    story.pass(100);
    const second = story.waiting(holder, { owner: "second" });
    story.cluster.partition([other], false);
    story.pass(timing.pollMs / 2);
    story.cluster.network.healAll();
    story.pass(timing.pollMs + timing.lateMs);
    void held.release();
    story.untilHeld(first, HAND_OVER_MS);
    expect(second.permit).toBeNull();
  });

  test("one that is cut off for longer comes back to where it stood, unless others were served", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const first = story.waiting(other, { owner: "first" });
    story.pass(100);
    const second = story.waiting(holder, { owner: "second" });
    story.cluster.partition([other], false);
    story.pass(3 * (timing.pollMs + timing.keepPlaceMs));
    story.cluster.network.healAll();
    story.pass(timing.pollMs + timing.lateMs);
    void held.release();
    story.untilHeld(first, HAND_OVER_MS);
    expect(second.permit).toBeNull();
  });
});

describe("S5: the limit", () => {
  test("another one is refused, and says which it is; also to those who wait", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    story.taken(holder, { limit: 1 });
    for (const limit of [2, 1]) {
      story.waiting(other, { limit, owner: "waits" });
    }
    const { error } = story.try(other, { limit: 3 });
    expect(error).toMatchObject({
      code: "other_limit",
      message:
        "semaphore already exists with a different limit: jobs has 1: use that, or another name",
    });
    expect(story.waiting(other, { limit: 3 }).error?.code).toBe("other_limit");
  });

  test("once drained, the name can be used with another limit; old handles work, or say why not", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    const old = holder.core.semaphores.semaphore("jobs", 1);
    const first = story.outcome(old.acquire()).value as HeldPermit;
    story.release(first);
    const wide = ["a", "b"].map((owner) => story.taken(other, { limit: 2, owner }));
    expect(story.rows().limit).toBe(2);
    expect(story.outcome(old.acquire()).error).toMatchObject({ code: "other_limit" });
    for (const permit of wide) story.release(permit);
    const again = story.outcome(old.acquire());
    expect(again.error).toBeNull();
    expect(story.rows().limit).toBe(1);
    story.release(again.value as HeldPermit);
    // A leader that has never heard of it is asked first.
    story.cluster.crash(leader);
    story.settledLeader(FAIL_OVER_MS);
    story.taken(other, { limit: 7 });
    expect(story.outcome(old.tryAcquire()).error?.code).toBe("other_limit");
  });
});

describe("stop", () => {
  test("a node gives its permits back, after it has told those who use them", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const heard: string[] = [];
    held.signal.addEventListener("abort", () => heard.push(held.signal.reason.code));
    const next = story.waiting(other);
    story.cluster.stop(holder);
    expect(heard).toEqual(["claim_lost"]);
    story.untilHeld(next, HAND_OVER_MS);
  });

  test("so does the leader, and one that is alone", () => {
    story = new SemaphoreStory({ nodes: 1 });
    const alone = story.settledLeader();
    story.taken(alone, { limit: 2 });
    story.taken(alone, { limit: 2, owner: "second" });
    story.cluster.stop(alone);
    story.until("it has stopped", 2_000, () => !alone.machine.alive);
    expect(story.rows()).toEqual({ limit: null, permits: [] });
  });

  test("detached permits stay, and those who wait are told `stopped`", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    const held = story.taken(holder, { detached: true });
    const waiter = story.waiting(leader);
    const next = story.waiting(other);
    story.cluster.stop(leader);
    story.pass(10);
    expect(waiter.error?.code).toBe("stopped");
    expect(story.outcome(leader.core.semaphores.semaphore("x", 1).acquire()).error?.code).toBe(
      "stopped",
    );
    story.until("another leads", 1_000, () => story.cluster.leaders()[0] !== leader);
    story.cluster.stop(holder);
    story.until("it has stopped", 2_000, () => !holder.machine.alive);
    expect([held.signal.aborted, story.owners()]).toEqual([true, [holder.address]]);
    story.untilHeld(next, EXPIRY_MS + FAIL_OVER_MS);
  });

  test("with the store away it takes no longer than it may", () => {
    story = new SemaphoreStory();
    const leader = story.settledLeader();
    story.taken(leader);
    story.cluster.storeFaults.down = true;
    story.cluster.stop(leader);
    story.until("it has stopped", 1_000 + 4_000 + LEASE_MS, () => !leader.machine.alive);
  });
});
