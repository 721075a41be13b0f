import { afterEach, describe, expect, test } from "bun:test";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import {
  EXPIRY_MS,
  FAIL_OVER_MS,
  HAND_OVER_MS,
  HOLD_MS,
  SemaphoreStory,
  timing,
} from "./semaphore-kit.ts";
import { LEASE_MS } from "./world.ts";

let story: SemaphoreStory;
afterEach(() => expect(story.wrong).toEqual([]));

test("permits are taken up to the limit, through any node, and given back", () => {
  story = new SemaphoreStory();
  const cast = story.cast();
  const held = cast.map((node) => story.taken(node, { limit: 3 }));
  expect(story.owners().toSorted()).toEqual(cast.map(({ address }) => address).toSorted());
  expect(story.try(cast[0], { limit: 3, owner: "a" }).error).toMatchObject({
    code: "taken",
    message: "semaphore full: wait for a permit, or try again later",
  });
  for (const permit of held) {
    expect(permit.signal.aborted).toBe(false);
    expect(story.release(permit).error).toBeNull();
    expect(story.release(permit).error).toBeNull();
    expect([permit.signal.aborted, permit.heldForMs]).toEqual([false, 0]);
  }
  expect(story.rows()).toEqual({ limit: null, permits: [] });
});

test("a held permit is renewed for as long as it is wanted, all of a node's in one call", () => {
  story = new SemaphoreStory();
  const [, holder] = story.cast();
  const held = ["a", "b", "c"].map((owner) => story.taken(holder, { owner, limit: 3 }));
  story.forgetLines();
  story.pass(10 * timing.leaseMs);
  for (const permit of held) {
    expect(permit.signal.aborted).toBe(false);
    expect(permit.heldForMs).toBeGreaterThan(HOLD_MS - timing.renewEveryMs - 10);
  }
  const calls = Math.floor((10 * timing.leaseMs) / timing.renewEveryMs);
  expect(story.lines("RenewPermits reply")).toBeWithin(calls - 2, calls + 1);
  expect(story.lines("permits")).toBe(0); // of the store
});

describe("one permit per owner and semaphore", () => {
  test("the node's own by default, and others by name", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const first = story.taken(holder, { limit: 5 });
    expect(first.owner).toBe(holder.address);
    expect(story.try(holder, { limit: 5 }).error?.code).toBe("already_held");
    expect(story.try(other, { limit: 5, owner: holder.address }).error?.code).toBe("already_held");
    story.taken(holder, { limit: 5, owner: "second" });
    story.taken(holder, { name: "other-jobs" });
    expect(story.owners()).toEqual([holder.address, "second"]);
  });

  test("who waits counts, too", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    story.taken(leader);
    const waiter = story.waiting(holder, { owner: "a" });
    expect(story.try(holder, { owner: "a" }).error?.code).toBe("already_held");
    expect(story.try(other, { owner: "a" }).error?.code).toBe("already_held");
    expect(waiter.error).toBeNull();
  });

  test("an owner that comes again while its release is under way waits for that", () => {
    story = new SemaphoreStory();
    const [, holder] = story.cast();
    const first = story.taken(holder);
    const released = first.release();
    const again = story.waiting(holder);
    story.outcome(released);
    story.untilHeld(again, HAND_OVER_MS);
  });
});

describe("bad input", () => {
  test("names with whitespace and limits that are none are refused", () => {
    story = new SemaphoreStory();
    const { core } = story.settledLeader();
    for (const name of ["", "a b", " a", "a\n", "a\tb", "a\u3000b"]) {
      expect(() => core.semaphores.semaphore(name, 1)).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    }
    for (const limit of [0, -1, 1.5, Number.NaN, 2 ** 32]) {
      expect(() => core.semaphores.semaphore("jobs", limit)).toThrow(
        expect.objectContaining({ code: "invalid_argument" }),
      );
    }
    expect(story.outcome(core.semaphores.semaphore("jobs", 1).acquire({ owner: "" })).error?.code) //
      .toBe("invalid_argument");
  });
});

describe("S1: never more permits than the limit", () => {
  test("takers at once on all nodes", () => {
    story = new SemaphoreStory();
    const cast = story.cast();
    const waiters = Array.from({ length: 30 }, (_, i) =>
      story.waiting(cast[i % 3] as SimulatedNode, { limit: 4, owner: `owner-${i}` }),
    );
    story.pass(500);
    expect(waiters.filter(({ permit }) => permit !== null).length).toBe(4);
    expect(story.owners().length).toBe(4);
    for (let served = 4; served < 30; served++) {
      story.release(waiters.find(({ permit }) => permit?.held)?.permit as never);
      story.until("the next is served", HAND_OVER_MS, () => {
        return waiters.filter(({ permit }) => permit !== null).length === served + 1;
      });
    }
  });

  test("a holder that is cut off stops before its permit is given away", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.pass(timing.leaseMs);
    story.cluster.partition([holder], false);
    const lostMs = story.until("it stops", HOLD_MS, () => held.heldForMs === 0);
    expect(lostMs).toBeGreaterThan(HOLD_MS - timing.renewEveryMs - 10);
    expect(held.signal.reason).toMatchObject({ code: "claim_lost" });
    expect(next.permit).toBeNull();
    story.untilHeld(next, EXPIRY_MS - lostMs);
  });

  test("a holder that is paused past its lease knows it before it does anything else", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const heard: string[] = [];
    held.signal.addEventListener("abort", () => heard.push(held.signal.reason.code));
    const next = story.waiting(other);
    story.cluster.pause(holder);
    story.untilHeld(next, EXPIRY_MS);
    // By its own clock, though no timer of it has run.
    expect([held.heldForMs, heard]).toEqual([0, []]);
    expect(held.signal.aborted).toBe(true);
    story.cluster.resume(holder);
    story.pass(2 * timing.leaseMs);
    expect(heard).toEqual(["claim_lost"]);
    expect(held.heldForMs).toBe(0);
    // Its release disturbs nobody.
    expect(story.release(held).error).toBeNull();
    expect(next.permit?.held).toBe(true);
    expect(story.owners()).toEqual([other.address]);
  });

  test("a renewal that is answered after the deadline does not count", () => {
    story = new SemaphoreStory();
    const [leader, holder] = story.cast();
    const held = story.taken(holder);
    // Answers come after the deadline, and before the leader would revoke.
    story.cluster.network.cut(leader.address, holder.address);
    story.pass(timing.renewEveryMs);
    story.until("it stops", HOLD_MS + 10, () => held.heldForMs === 0);
    story.cluster.network.healAll();
    story.pass(2 * timing.leaseMs);
    expect([held.heldForMs, held.signal.aborted]).toEqual([0, true]);
  });

  test("the leader dies: permits are held on, and the next leader counts them", () => {
    story = new SemaphoreStory({ nodes: 4 });
    const leader = story.settledLeader();
    const [holder, other] = [story.follower(0), story.follower(1)];
    const held = [holder, other].map((node) => story.taken(node, { limit: 2 }));
    story.cluster.crash(leader);
    const next = story.waiting(story.follower(2), { limit: 2 });
    story.settledLeader(FAIL_OVER_MS);
    story.pass(3 * timing.leaseMs);
    for (const permit of held) expect(permit.signal.aborted).toBe(false);
    expect(next.permit).toBeNull();
    story.release(held[0] as never);
    story.untilHeld(next, HAND_OVER_MS);
  });

  test("the leader that holds a permit dies: it is free a permit's lease after the next one leads", () => {
    story = new SemaphoreStory();
    const [leader, other] = story.cast();
    const held = story.taken(leader);
    const next = story.waiting(other);
    story.cluster.crash(leader);
    story.settledLeader(FAIL_OVER_MS);
    const ms = story.untilHeld(next, EXPIRY_MS);
    expect(ms).toBeGreaterThan(timing.leaseMs);
    expect(held.heldForMs).toBe(0);
  });

  test("a paused leader gives nothing out on waking", () => {
    story = new SemaphoreStory({ nodes: 4 });
    const leader = story.settledLeader();
    const [holder, other] = [story.follower(0), story.follower(1)];
    const held = story.taken(holder);
    story.cluster.pause(leader);
    // This is the first that it finds on waking.
    const late = story.waiting(other, { owner: "late" });
    void held.release();
    story.until("another leads", 3 * LEASE_MS, () =>
      story.cluster.leaders().some((node) => node !== leader),
    );
    story.untilHeld(late, FAIL_OVER_MS);
    story.cluster.resume(leader);
    story.pass(2 * timing.leaseMs);
    expect(late.permit?.held).toBe(true);
    expect(story.owners()).toEqual(["late"]);
  });

  test("a count that fails is an error, and never none", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    story.taken(holder);
    story.cluster.storeFaults.refusal = 1;
    const { error } = story.try(other, { name: "others", timeoutMs: 1_000 });
    expect(error?.code).toBe("unavailable");
    // What is known in memory is answered without counting.
    expect(story.try(other, { timeoutMs: 1_000 }).error?.code).toBe("taken");
    story.cluster.storeFaults.refusal = 0;
    expect(story.owners("others")).toEqual([]);
    expect(story.try(other, { name: "others" }).error).toBeNull();
    expect(story.try(other).error?.code).toBe("taken");
  });

  test("a store that is away for less than the node's lease costs nothing", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.cluster.storeFaults.down = true;
    void held.release();
    story.pass(LEASE_MS / 2);
    expect(next.permit).toBeNull();
    story.cluster.storeFaults.down = false;
    // At the latest when the call that hangs is given up.
    story.untilHeld(next, 2_500);
  });
});

test("control: holders that ignore their deadline hold more than there is, and are found", () => {
  const control = new SemaphoreStory({ protections: false });
  const [, holder, other] = control.cast();
  control.taken(holder);
  const next = control.waiting(other);
  control.cluster.partition([holder], false);
  control.untilHeld(next, EXPIRY_MS);
  expect(control.holders.violations.length).toBe(1);
  expect(control.holders.violations[0]).toEndWith("hold jobs at once, of 1");
});
