import { afterEach, describe, expect, test } from "bun:test";
import { GossipService, Liveness, PeerState } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Machine } from "../simulation/world/machine.ts";
import { EXPIRY_MS, FAIL_OVER_MS, HOLD_MS, SemaphoreStory, timing } from "./semaphore-kit.ts";

let story: SemaphoreStory;
afterEach(() => expect(story.wrong).toEqual([]));

describe("S2: a lost reply leaks no permit", () => {
  test("the retry gets the same permit", () => {
    story = new SemaphoreStory();
    const [leader, holder] = story.cast();
    story.cluster.network.cut(leader.address, holder.address);
    const waiter = story.waiting(holder, { limit: 3 });
    story.until("it is committed", 100, () => story.owners().length === 1);
    const [first] = story.rows().permits;
    story.pass(1_000);
    expect(waiter.permit).toBeNull();
    story.cluster.network.healAll();
    story.untilHeld(waiter, 3_000);
    expect(waiter.permit?.claim.grant).toBe(first?.grant as string);
    expect(story.rows().permits).toEqual([first as never]);
  });

  test("also at another leader", () => {
    story = new SemaphoreStory();
    const [leader, holder] = story.cast();
    story.cluster.network.cut(leader.address, holder.address);
    const waiter = story.waiting(holder);
    story.until("it is committed", 100, () => story.owners().length === 1);
    const [first] = story.rows().permits;
    story.cluster.crash(leader);
    story.untilHeld(waiter, FAIL_OVER_MS);
    expect(waiter.permit?.claim.grant).toBe(first?.grant as string);
    story.pass(3 * timing.leaseMs);
    expect(waiter.permit?.held).toBe(true);
  });

  test("who gave up waiting for the reply gets the permit when it asks anew", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    story.cluster.network.cut(leader.address, holder.address);
    const { error } = story.try(holder, { timeoutMs: 500 });
    expect(error?.code).toBe("timeout");
    expect(story.owners()).toEqual([holder.address]);
    story.cluster.network.healAll();
    const again = story.waiting(holder);
    story.untilHeld(again, 4_000);
    story.release(again.permit as never);
    expect(story.try(other).error).toBeNull();
  });

  test("what nobody asks for any more is free again", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    story.cluster.network.cut(leader.address, holder.address);
    story.try(holder, { timeoutMs: 500 });
    const next = story.waiting(other);
    story.cluster.network.healAll();
    story.untilHeld(next, 4_000);
  });

  test("an old request that arrives after the release takes nothing", () => {
    story = new SemaphoreStory();
    const [, holder] = story.cast();
    const { faults } = story.cluster.network;
    faults.duplication = 1;
    for (let i = 0; i < 50; i++) {
      faults.maxDelayMs = 40;
      const permit = story.taken(holder);
      story.release(permit);
      story.pass(100);
      expect(story.owners()).toEqual([]);
    }
  });

  test("the store's reply is lost: the table is read before anything else", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.cluster.storeFaults.lostReply = 1;
    void held.release();
    story.pass(50);
    expect(story.owners()).toEqual([other.address]); // handed over, and nobody knows
    story.cluster.storeFaults.lostReply = 0;
    story.untilHeld(next, 2_500);
    expect(story.owners()).toEqual([other.address]);
  });
});

describe("S3: a live holder keeps its permit, and one that is revoked is told", () => {
  test("one that is suspected, and even dropped, by others keeps it while the leader hears of it", () => {
    story = new SemaphoreStory({ nodes: 4 });
    const leader = story.settledLeader();
    const [holder, other] = [story.follower(0), story.follower(1)];
    const held = story.taken(holder);
    const next = story.waiting(other);
    for (const node of story.cluster.nodes) {
      if (node === leader || node === holder) continue;
      story.cluster.network.cut(node.address, holder.address);
      story.cluster.network.cut(holder.address, node.address);
    }
    story.pass(2 * timing.leaseMs);
    expect(held.signal.aborted).toBe(false);
    expect(next.permit).toBeNull();
  });

  test("one that is cut off for less than its lease keeps it, though the members have dropped it", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.cluster.partition([holder], false);
    story.until("the leader has dropped it", 4_000, () =>
      leader.core.members().every(({ address }) => address !== holder.address),
    );
    story.cluster.network.healAll();
    story.pass(2 * timing.leaseMs);
    expect(held.signal.aborted).toBe(false);
    expect(next.permit).toBeNull();
  });

  test("after it has lost its permit an owner may have another", () => {
    story = new SemaphoreStory();
    const [, holder] = story.cast();
    const held = story.taken(holder);
    story.cluster.partition([holder], false);
    story.until("it stops", HOLD_MS, () => held.signal.aborted);
    story.cluster.network.healAll();
    // It need not wait for the leader to take the old one back: it comes again, so it knows.
    const again = story.waiting(holder);
    story.untilHeld(again, 1_000);
    expect(story.owners()).toEqual([holder.address]);
  });

  test("a restart at the same address frees it at once", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    story.taken(holder);
    const next = story.waiting(other);
    story.cluster.crash(holder);
    story.pass(500);
    story.cluster.restart(holder);
    story.untilHeld(next, 1_000);
  });

  test("also for the same owner, which need not wait for gossip", () => {
    story = new SemaphoreStory();
    const [, holder] = story.cast();
    story.taken(holder);
    story.cluster.crash(holder);
    story.pass(500);
    story.cluster.restart(holder);
    story.until("it runs", 1_000, () => holder.core.running && holder.core.leader !== null);
    expect(story.try(holder).error).toBeNull();
    expect(story.owners()).toEqual([holder.address]);
  });

  test("not if the work goes on elsewhere: then it is free once its lease is over", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    story.taken(holder, { detached: true });
    const next = story.waiting(other);
    story.cluster.crash(holder);
    story.pass(500);
    story.cluster.restart(holder);
    story.pass(HOLD_MS - 1_000);
    expect(next.permit).toBeNull();
    story.untilHeld(next, EXPIRY_MS - HOLD_MS + 1_000);
  });

  test("a holder that dies is cleaned up, also if nobody waits", () => {
    story = new SemaphoreStory();
    const [, holder] = story.cast();
    story.taken(holder);
    story.cluster.crash(holder);
    story.until("its permit is gone", EXPIRY_MS, () => story.owners().length === 0);
    expect(story.rows()).toEqual({ limit: null, permits: [] });
  });

  test("a permit of the Go system is taken back when its time is over, or our node runs at its address", () => {
    story = new SemaphoreStory();
    const [, node, other] = story.cast();
    const gone = { incarnation: 0, grant: "", detached: false };
    const permits = ["10.9.9.9:8080", node.address].map((owner) => ({
      ...gone,
      owner,
      holder: owner,
    }));
    for (const { owner } of permits) {
      const row = { key: `__caller=${owner}`, id: "__hedge/semaphore/jobs", value: owner };
      void story.cluster.database.connect().log?.append([{ ...row, leader: owner }], null);
    }
    story.pass(1);
    expect(story.rows().permits).toEqual(permits);
    const waiters = ["a", "b"].map((owner) => story.waiting(other, { owner, limit: 2 }));
    story.pass(1_000);
    expect(story.owners()).toEqual(["10.9.9.9:8080", "a"]);
    story.pass(590_000);
    expect(waiters[1]?.permit).toBeNull();
    story.untilHeld(waiters[1] as never, 15_000);
  });

  test("a node that restarts with its wall clock set back an hour joins, has a permit again, and leads", () => {
    story = new SemaphoreStory();
    const [leader, node, other] = story.cast();
    story.taken(node);
    const next = story.waiting(other);
    story.cluster.crash(node);
    story.cluster.jump(node.machine, -3_600_000);
    story.cluster.restart(node);
    story.until("it has joined", 1_000, () => node.core.members().length === 3);
    story.untilHeld(next, 1_000);
    story.release(next.permit as never);
    story.taken(node);
    story.cluster.stop(other);
    story.cluster.stop(leader);
    story.until("it leads", 1_000, () => node.core.isLeader);
  });

  test("a greater incarnation that its process has not heard of frees nothing", () => {
    story = new SemaphoreStory();
    const [leader, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    story.cluster.partition([holder], false);
    // An earlier start of it had a wall clock that was ahead: the leader hears of that one, it itself does not.
    tellOfEarlierStart(leader, holder);
    story.pass(1_000);
    expect([held.held, next.permit]).toEqual([true, null]);
    story.cluster.network.healAll();
    story.untilHeld(next, 5_000);
    expect(held.signal.aborted).toBe(true);
  });

  test("a node that must take a greater incarnation loses what it holds before anybody takes it for another", () => {
    story = new SemaphoreStory();
    const [, holder, other] = story.cast();
    const held = story.taken(holder);
    const next = story.waiting(other);
    tellOfEarlierStart(holder, holder);
    expect(held.signal.aborted).toBe(true);
    story.untilHeld(next, 2_000);
    story.release(next.permit as never);
    expect(story.try(holder).error).toBeNull();
    story.pass(2 * timing.leaseMs);
    expect(story.owners()).toEqual([holder.address]);
  });
});

/** Somebody says to one of them that an earlier start of the other, by a wall clock that was ahead, is alive. */
function tellOfEarlierStart(told: SimulatedNode, of: SimulatedNode): void {
  const record = ({ address }: Pick<SimulatedNode, "address">, incarnation: bigint) => ({
    name: address,
    address,
    incarnation,
    version: 1,
    liveness: Liveness.ALIVE,
    state: PeerState.PARTICIPANT,
  });
  const { network, scheduler } = story.cluster;
  const third = { address: "10.9.9.9:8080" };
  const gossip = network
    .peersOf(third.address, new Machine(scheduler))
    .unary(told.address, GossipService.method.ping, {
      label: "simulated",
      target: told.address,
      self: record(of, 1n),
      updates: [record(of, 1_800_000_000_000n)],
    });
  expect(story.outcome(gossip).error).toBeNull();
}
