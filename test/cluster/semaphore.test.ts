import { afterEach, beforeEach, expect, test } from "bun:test";
import { HoldCommand, inLine, isAlive } from "./hold-command.ts";
import { Cluster, type Node, until } from "./processes.ts";
import { type ClusterStore, describeOnStores } from "./stores.ts";

/** Says whose permit it has and its process, and goes on until somebody ends it. */
const HOLD = 'echo "owner $HEDGEROW_SEMAPHORE_OWNER"; echo "pid $$"; exec sleep 1000';
/** Far above what a hand-over takes, far below a permit's lease. */
const AT_ONCE_MS = 3_000;
/** A permit's lease at a node's of 2 s, and how long the leader waits at most. */
const PERMIT_LEASE_MS = 6_000;
const EXPIRED_MS = 7_000;

interface Leased {
  readonly owner: string;
  readonly lease: string;
}

describeOnStores("semaphores", (kind) => {
  let store: ClusterStore;
  let cluster: Cluster;
  /** A node that leads, and two that do not. */
  let nodes: [Node, Node, Node];
  beforeEach(async () => {
    store = await kind.make();
    cluster = await Cluster.start({ store });
    const leader = await cluster.settled();
    nodes = [leader, ...cluster.nodes.filter((node) => node !== leader)] as [Node, Node, Node];
  }, 30_000);
  afterEach(async () => {
    await cluster[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  const run = (node: Node, script: string, ...flags: string[]) => {
    const limit = flags.includes("--limit") ? [] : ["--limit", "1"];
    return new HoldCommand(node, ["semaphore", "acquire", "jobs", ...limit, ...flags], script);
  };

  /** The process of a command that holds on. */
  const held = async (command: HoldCommand, withinMs?: number) =>
    Number(await command.printed("pid ", withinMs));

  test("as many at once as the limit; the exit code is the command's", async () => {
    const [leader, second, third] = nodes;
    const two = ["--limit", "2"];
    const first = run(second, HOLD, ...two, "--owner", "me");
    await held(first);
    expect(await first.printed("owner ")).toBe("me");
    const other = run(third, HOLD, ...two);
    await held(other);
    expect(await other.printed("owner ")).toStartWith(`${third.address}/`);
    const again = run(leader, "echo no", ...two, "--owner", "me");
    expect(await again.ended()).toBe(124);
    expect(again.stderr).toContain("me has a permit of jobs");
    const full = run(leader, "echo no", ...two, "--wait", "0s");
    expect(await full.ended()).toBe(124);
    expect(full.stderr).toBe(
      "hedgerow semaphore acquire: semaphore full: wait for a permit, or try again later\n",
    );
    const wider = run(leader, "echo no", "--limit", "3");
    expect(await wider.ended()).toBe(1);
    expect(wider.stderr).toContain("semaphore already exists with a different limit: jobs has 2");
    const late = run(leader, "echo no", ...two, "--wait", "300ms");
    expect(await late.ended()).toBe(124);
    const next = run(leader, "echo next; exit 7", ...two);
    await inLine(nodes, "permit", 1);
    expect(next.stdout).toBe("");
    first.signal("SIGTERM"); // which is for the command
    expect(await first.ended()).toBe(128 + 15);
    expect(await next.ended()).toBe(7);
    expect([next.stdout, next.stderr, late.stdout, full.stdout]).toEqual(["next\n", "", "", ""]);
  }, 30_000);

  test("kill -9 of the program frees its permit at once, and ends its command", async () => {
    const [, second, third] = nodes;
    const first = run(second, HOLD);
    const pid = await held(first);
    const next = run(third, "echo next");
    await inLine(nodes, "permit", 1);
    first.signal("SIGKILL");
    await next.printed("next", AT_ONCE_MS);
    await until("the first one's command has ended", AT_ONCE_MS, () => !isAlive(pid));
    await first.ended();
  }, 30_000);

  // Each holds its permit for longer than it takes to notice what it has printed.
  test("S4: waiters on all nodes are served in the order in which they came; one that is killed is passed over", async () => {
    const [leader, second, third] = nodes;
    const first = run(second, HOLD);
    await held(first);
    const order: number[] = [];
    const waiters: HoldCommand[] = [];
    const served: Promise<unknown>[] = [];
    for (const [i, node] of [third, leader, second, third, leader].entries()) {
      const waiter = run(node, "echo served; sleep 0.1", "--wait", "30s");
      waiters.push(waiter);
      if (i !== 1) served.push(waiter.printed("served", 30_000).then(() => order.push(i)));
      await inLine(nodes, "permit", waiters.length);
    }
    waiters[1]?.signal("SIGKILL");
    first.signal("SIGTERM");
    await Promise.all(served);
    expect(order).toEqual([0, 2, 3, 4]);
  }, 60_000);

  test("S1: the leader is killed: permits are held on, and handed over by the next", async () => {
    const [leader, second, third] = nodes;
    const first = run(second, HOLD);
    const pid = await held(first);
    const next = run(third, "echo next", "--wait", "60s");
    leader.signal("SIGKILL");
    await until("another leads", 10_000, async () => {
      const { leader: known = leader.address } = (await third.status()) ?? {};
      return known !== leader.address;
    });
    await Bun.sleep(PERMIT_LEASE_MS);
    expect([isAlive(pid), next.stdout]).toEqual([true, ""]);
    first.signal("SIGTERM");
    await next.printed("next", AT_ONCE_MS);
  }, 60_000);

  test("S1: a holder's node is stopped past the lease: its command has ended before another has the permit", async () => {
    const [, second, third] = nodes;
    for (let run_ = 0; ; run_++) {
      const first = run(second, HOLD);
      const pid = await held(first);
      const next = run(third, HOLD, "--wait", "20s");
      await Bun.sleep(100);
      second.signal("SIGSTOP");
      // Its own clock tells the program, not the node.
      await until("the command has ended", EXPIRED_MS, () => !isAlive(pid));
      expect(next.stdout).toBe("");
      expect(await first.ended()).toBe(125);
      expect(first.stderr).toMatch(
        /^hedgerow semaphore acquire: .*: lost, SIGTERM to the command\n$/,
      );
      const taken = await held(next, EXPIRED_MS).catch(() => null);
      second.signal("SIGCONT");
      if (taken === null && kind.pausedMayLock && run_ < 10) continue; // stopped in a transaction
      expect(taken).not.toBeNull();
      next.signal("SIGTERM");
      await next.ended();
      return;
    }
  }, 200_000);

  test("a node that stops gives permits back, one that dies keeps them for their lease", async () => {
    const [leader, second, third] = nodes;
    const first = run(second, HOLD);
    const pid = await held(first);
    const next = run(third, HOLD, "--wait", "20s");
    await inLine(nodes, "permit", 1);
    second.signal("SIGTERM");
    const nextPid = await held(next, AT_ONCE_MS);
    expect(await first.ended()).toBe(125);
    expect(isAlive(pid)).toBe(false);
    expect(await second.exited()).toBe(0);
    third.signal("SIGKILL");
    const killedAt = performance.now();
    await until("the command has ended", AT_ONCE_MS, () => !isAlive(nextPid));
    // What was held for others is not free at once where the node comes back.
    third.start();
    const last = run(leader, "echo last", "--wait", "20s");
    await last.printed("last", EXPIRED_MS + 1_000);
    expect(performance.now() - killedAt).toBeGreaterThan(PERMIT_LEASE_MS - 2_000);
  }, 60_000);

  test("a lease for callers without a stream: prolonged by the same owner, over by itself or by release", async () => {
    const [leader, second, third] = nodes;
    const acquire = (node: Node, owner: string, wait = "0s", limit = 1) =>
      node.call<Leased>("AcquireSemaphore", { name: "jobs", limit, owner, wait });
    const leaseMs = (lease: string) => Number.parseFloat(lease) * 1e3;
    const first = await acquire(second, "a");
    if (!first.ok) throw new Error(first.message);
    expect(first.value.owner).toBe("a");
    expect(leaseMs(first.value.lease)).toBeWithin(PERMIT_LEASE_MS / 2, PERMIT_LEASE_MS);
    expect(await acquire(third, "b")).toMatchObject({
      ok: false,
      message: "semaphore full: wait for a permit, or try again later",
    });
    expect(await acquire(third, "a")).toMatchObject({ ok: false, code: "already_exists" });
    expect(await acquire(second, "a", "0s", 2)).toMatchObject({ ok: false });
    const since = performance.now();
    while (performance.now() - since < PERMIT_LEASE_MS) {
      expect(await acquire(second, "a")).toMatchObject({ ok: true });
      expect(await acquire(third, "b")).toMatchObject({ ok: false });
      await Bun.sleep(500);
    }
    // It says nothing more.
    const saidLast = performance.now();
    expect(await leader.call("AcquireSemaphore", { name: "jobs", limit: 1, owner: "", wait: "0s" })) //
      .toMatchObject({ ok: false, code: "invalid_argument" });
    const next = await leader.call<Leased>(
      "AcquireSemaphore",
      { name: "jobs", limit: 1, owner: "b", wait: "15s" },
      16_000,
    );
    expect(next.ok).toBe(true);
    expect(performance.now() - saidLast).toBeWithin(PERMIT_LEASE_MS / 2 - 500, EXPIRED_MS);
    const release = (node: Node) =>
      node.call<{ released?: boolean }>("ReleaseSemaphore", { name: "jobs", owner: "b" });
    expect(await release(third)).toEqual({ ok: true, value: { released: false } });
    expect(await release(leader)).toEqual({ ok: true, value: { released: true } });
    expect(await release(leader)).toEqual({ ok: true, value: { released: false } });
    expect(await acquire(third, "c")).toMatchObject({ ok: true });
  }, 60_000);
});
