import { afterEach, expect, test } from "bun:test";
import { leaseTiming } from "../../src/lock/timing.ts";
import { LEASE_MS, Story } from "./world.ts";

const timing = leaseTiming(LEASE_MS);
const ROW = "hedge/spindle/lockname/simulated";
/** From the last heartbeat to the next leader at the latest: expiry, and one retry. */
const FAILOVER_MS = timing.takeOverAgeMs + 500;

let story: Story;
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

test("L1: a contender that dies right after it won the take-over does not stop the next", () => {
  story = new Story();
  const { cluster, observer } = story;
  story.until("the take-over is committed", 1_000, () => observer.tokens.length === 1);
  const winner = cluster.nodes.find(({ address }) => address === observer.holder);
  if (winner === undefined) throw new Error("nobody won");
  expect(winner.core.isLeader).toBe(false);
  cluster.crash(winner);
  const next = story.settledLeader(FAILOVER_MS);
  expect(next.address).not.toBe(winner.address);
});

test("L4: the row is deleted by hand while a leader is up: it steps down, one leads again", () => {
  story = new Story();
  const { cluster, observer } = story;
  const before = story.settledLeader();
  cluster.database.deleteLockRow(ROW);
  story.until("the leader notices", timing.renewEveryMs + 50, () => !before.core.isLeader);
  story.settledLeader(FAILOVER_MS);
  expect(observer.tokens.length).toBe(2);
});

test("L4: the first insert fails once, on an empty table: nobody leads falsely, then one does", () => {
  story = new Story();
  story.cluster.storeFaults.refusal = 1;
  story.pass(300);
  expect(story.cluster.leaders()).toEqual([]);
  story.cluster.storeFaults.refusal = 0;
  story.settledLeader(FAILOVER_MS);
});

test("L5: a later leader's token is greater", () => {
  story = new Story();
  for (let i = 0; i < 5; i++) {
    const leader = story.settledLeader();
    story.cluster.crash(leader);
    story.pass(100);
    story.settledLeader(FAILOVER_MS);
    story.cluster.restart(leader);
  }
  const { tokens } = story.observer;
  expect(tokens.length).toBe(6);
  expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  expect(new Set(tokens).size).toBe(6);
});

test("L7: a leader paused past its lease knows it before it serves anything on waking", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.pause(leader);
  // Requests arrive while it is paused: they are the first that it handles.
  const caller = story.follower().core;
  const sent = caller.messaging.send("to the paused one", { timeoutMs: 20_000 });
  const put = caller.log.put("key", "value", { timeoutMs: 20_000 });
  story.pass(2 * LEASE_MS);
  story.cluster.resume(leader);
  expect(story.outcome(sent).error?.code).toBe("not_leader");
  expect(story.outcome(put).error).toBeNull();
  expect(leader.core.isLeader).toBe(false);
});

test("L7: a renewal that outlives the lease does not count", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.minDelayMs = story.cluster.storeFaults.maxDelayMs = LEASE_MS;
  story.until("it steps down", LEASE_MS, () => !leader.core.isLeader);
  const { tokens } = story.observer;
  story.pass(LEASE_MS);
  // Its renewals arrive at the database after its deadline, and give it nothing back.
  expect(leader.core.isLeader && tokens.length === 1).toBe(false);
});

test("L8: a planned stop hands over well under a second", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.stop(leader);
  const tookMs = story.until("another leads", 1_000, () =>
    story.cluster.leaders().some((node) => node !== leader),
  );
  expect(tookMs).toBeLessThan(100);
});

test("L8: however slow the store is, a planned stop never costs the others a lease", () => {
  for (let seed = 1; seed <= 100; seed++) {
    story = new Story({ nodes: 2, leaseMs: 30_000 }, seed);
    const leader = story.settledLeader();
    const { storeFaults } = story.cluster;
    storeFaults.minDelayMs = 1;
    storeFaults.maxDelayMs = 30;
    story.pass(seed * 7);
    story.cluster.stop(leader);
    story.until(`another leads, seed ${seed}`, 1_000, () =>
      story.cluster.leaders().some((node) => node !== leader),
    );
  }
});

test("L8: a renewal that hangs at the stop does not keep the release from being tried", () => {
  story = new Story({ nodes: 2, leaseMs: 12_000 });
  const leader = story.settledLeader();
  story.pass(3_990);
  story.cluster.storeFaults.down = true;
  story.pass(50);
  story.cluster.stop(leader);
  story.pass(1_950);
  story.cluster.storeFaults.down = false;
  story.until("another leads", 1_500, () =>
    story.cluster.leaders().some((node) => node !== leader),
  );
});

test("a newcomer with a shorter lease ends, also while the leader does not answer", () => {
  let newcomerLeaseMs = 30_000;
  story = new Story({ leaseMs: 30_000, configure: () => ({ leaseMs: newcomerLeaseMs }) });
  const leader = story.settledLeader();
  const newcomer = story.follower();
  story.cluster.crash(newcomer);
  newcomerLeaseMs = 2_000;
  story.cluster.pause(leader);
  story.cluster.restart(newcomer);
  story.pass(8_000);
  expect(newcomer.startError?.code).toBe("wrong_cluster");
  expect(newcomer.core.isLeader).toBe(false);
  story.cluster.resume(leader);
});

test("a newcomer with another label on the same lock ends, with the flag in the error", () => {
  let label = "simulated";
  story = new Story({ configure: () => ({ label }) });
  story.settledLeader();
  const newcomer = story.follower();
  story.cluster.crash(newcomer);
  label = "mistyped";
  story.cluster.restart(newcomer);
  story.pass(1_000);
  expect(newcomer.startError).toMatchObject({ code: "wrong_cluster" });
  expect(newcomer.startError?.message).toContain("--label");
});

test("L9: failing renewals are retried within the lease", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.refusal = 1;
  story.pass(timing.holdMs - timing.renewEveryMs - 200);
  story.cluster.storeFaults.refusal = 0;
  story.pass(3 * LEASE_MS);
  expect(leader.core.isLeader).toBe(true);
  expect(story.observer.tokens.length).toBe(1);
});

test("L9: a leader that cannot renew steps down by its own clock before anybody can take over", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.down = true;
  const tookMs = story.until("it steps down", LEASE_MS, () => !leader.core.isLeader);
  expect(tookMs).toBeLessThanOrEqual(timing.holdMs);
  story.cluster.storeFaults.down = false;
  story.settledLeader(FAILOVER_MS);
});

test("L10: a leader callback that hangs or throws stalls no renewal", () => {
  let calls = 0;
  story = new Story({
    nodes: 2,
    configure: () => ({
      onLeaderChange: () => {
        calls++;
        if (calls % 2 === 1) throw new Error("callback");
        return new Promise(() => {});
      },
    }),
  });
  const leader = story.settledLeader();
  story.pass(5 * LEASE_MS);
  expect(calls).toBe(1);
  expect(leader.core.isLeader).toBe(true);
  story.cluster.crash(leader);
  const next = story.settledLeader(FAILOVER_MS);
  story.pass(5 * LEASE_MS);
  expect(calls).toBe(2);
  expect(next.core.isLeader).toBe(true);
});

test("L11: an outage shorter than the lease costs nothing", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.down = true;
  story.pass(LEASE_MS / 4);
  story.cluster.storeFaults.down = false;
  story.pass(2 * LEASE_MS);
  expect(leader.core.isLeader).toBe(true);
  expect(story.observer.tokens.length).toBe(1);
});

test("L11: an outage of three leases costs leadership, not the process", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.down = true;
  story.pass(3 * LEASE_MS);
  expect(story.cluster.leaders()).toEqual([]);
  expect(leader.core.running).toBe(true);
  story.cluster.storeFaults.down = false;
  story.settledLeader(FAILOVER_MS);
  expect(story.outcome(story.follower().core.log.put("key", "value")).error).toBeNull();
});

test("L15: a leader that restarts at once, among others that still name it, does not lead or say so", () => {
  story = new Story();
  const former = story.settledLeader();
  story.cluster.crash(former);
  story.cluster.restart(former);
  story.pass(LEASE_MS / 2);
  expect(former.core.isLeader).toBe(false);
  expect(former.core.leader).toBeNull();
  expect(story.outcome(former.core.ready()).error?.code).toBe("no_leader");
  story.settledLeader(FAILOVER_MS);
});

test("L15: the reply of the commit that took the lease is lost, the process restarts: it does not lead", () => {
  story = new Story({ nodes: 1 });
  const { cluster, observer } = story;
  const [only] = cluster.nodes;
  if (only === undefined) throw new Error("one node");
  story.until("the take-over is committed", 1_000, () => observer.tokens.length === 1);
  cluster.crash(only);
  cluster.restart(only);
  story.pass(LEASE_MS);
  // The row names this very address, and its lease is not over.
  expect(only.core.isLeader).toBe(false);
  expect(only.core.leader).toBeNull();
  story.until("it takes a new token", FAILOVER_MS, () => only.core.isLeader);
  expect(observer.tokens.length).toBe(2);
});
