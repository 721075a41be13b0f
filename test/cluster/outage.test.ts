import { expect, test } from "bun:test";
import { createDatabase, dropDatabase, GO_SYSTEM_TABLES } from "../spanner/database.ts";
import { type Emulator, startEmulator } from "../spanner/emulator.ts";
import { describeWithOwnEmulator } from "../spanner/rule.ts";
import { AppendLoad } from "./load.ts";
import { BINARY, Cluster, type Node, UNPROTECTED_BINARY, until } from "./processes.ts";

const LEASE_MS = 2_000;
/** From the end of an outage until writes are accepted: a lease that ran out, and what clients need to connect. */
const RECOVERY_MS = 3 * LEASE_MS;
const NAME = { project: "hedgerow", instance: "outage", database: "cluster" };

interface Running extends AsyncDisposable {
  readonly emulator: Emulator;
  readonly cluster: Cluster;
  readonly path: string;
}

async function start(binary = BINARY): Promise<Running> {
  const stack = new AsyncDisposableStack();
  try {
    const emulator = stack.use(await startEmulator());
    const path = await createDatabase(emulator.host, NAME, GO_SYSTEM_TABLES);
    const store = {
      flags: ["--store", `spanner:${path}`],
      env: { SPANNER_EMULATOR_HOST: emulator.host },
    };
    const cluster = stack.use(await Cluster.start({ store, binary }));
    await cluster.settled();
    return { emulator, cluster, path, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Asks all nodes again and again who leads: more than one at a time, or one without its lease, is a violation. */
class LeaderWatch {
  readonly violations: string[] = [];
  /** From here on nobody can have a lease. */
  noLeaderAfter = Infinity;
  #going = true;
  readonly #watching: Promise<void>;

  constructor(private readonly nodes: readonly Node[]) {
    this.#watching = this.#watch();
  }

  async stop(): Promise<string[]> {
    this.#going = false;
    await this.#watching;
    return this.violations;
  }

  async #watch(): Promise<void> {
    while (this.#going) {
      const askedAt = performance.now();
      const seen = await Promise.all(this.nodes.map((node) => node.status()));
      const leaders = this.nodes.filter((_, i) => seen[i]?.isLeader === true);
      if (leaders.length > 1) this.violations.push(`${leaders.map((node) => node.address)} lead`);
      if (askedAt > this.noLeaderAfter && leaders.length > 0) {
        this.violations.push(`${leaders.map((node) => node.address)} leads without a lease`);
      }
      await Bun.sleep(10);
    }
  }
}

async function writable(nodes: readonly Node[]): Promise<void> {
  for (const [i, node] of nodes.entries()) {
    let attempt = 0;
    await until(`a write through ${node.address}`, RECOVERY_MS, async () => {
      return (await node.put("probe", "x", `probe-${i}-${attempt++}`, RECOVERY_MS)).ok;
    });
  }
}

describeWithOwnEmulator("Spanner goes away", () => {
  for (const [what, leases] of [
    ["half a lease", 0.5],
    ["one lease", 1],
    ["three leases", 3],
  ] as const) {
    test(`L11: for ${what}: nobody leads wrongly, no node ends, and all recover by themselves`, async () => {
      await using running = await start();
      const { emulator, cluster } = running;
      const load = new AppendLoad(cluster, 4, 20);
      const watch = new LeaderWatch(cluster.nodes);
      await Bun.sleep(300);
      const before = (await cluster.settled()).address;
      emulator.pause();
      watch.noLeaderAfter = performance.now() + LEASE_MS;
      await Bun.sleep(leases * LEASE_MS);
      watch.noLeaderAfter = Infinity;
      emulator.resume();
      await writable(cluster.nodes);
      expect(cluster.living.length).toBe(cluster.nodes.length);
      const leader = await cluster.settled();
      if (leases < 0.6) expect(leader.address).toBe(before);
      await load.stop();
      expect(await watch.stop()).toEqual([]);
      expect(load.acknowledged.length).toBeGreaterThan(20);
      expect(await load.violations(leader)).toEqual([]);
    }, 60_000);
  }

  test("control: without deadline checks one leads on for three leases, and is seen to", async () => {
    await using running = await start(UNPROTECTED_BINARY);
    const { emulator, cluster } = running;
    const watch = new LeaderWatch(cluster.nodes);
    emulator.pause();
    watch.noLeaderAfter = performance.now() + LEASE_MS;
    await Bun.sleep(3 * LEASE_MS);
    emulator.resume();
    const seen = await watch.stop();
    expect(seen.filter((violation) => violation.includes("leads without a lease"))).not.toEqual([]);
  }, 60_000);

  test("killed and started again empty: the nodes say what is missing, and recover once it is there", async () => {
    await using running = await start();
    const { emulator, cluster, path } = running;
    const watch = new LeaderWatch(cluster.nodes);
    await emulator.stop("SIGKILL");
    watch.noLeaderAfter = performance.now() + LEASE_MS;
    await until("nobody leads", LEASE_MS + 1_000, async () => {
      const seen = await Promise.all(cluster.nodes.map((node) => node.status()));
      return seen.every((status) => status !== null && status.isLeader !== true);
    });
    await emulator.start();
    const mend = `hedgerow schema apply --store spanner:${path}`;
    await until("all nodes say what is missing", RECOVERY_MS, () =>
      cluster.nodes.every((node) => node.stderr.includes(mend)),
    );
    for (const node of cluster.nodes) {
      const ready = await fetch(`${node.url}/readyz`);
      expect(ready.status).toBe(503);
      expect(await ready.text()).toContain(mend);
    }
    const applied = Bun.spawnSync([BINARY, "schema", "apply", "--store", `spanner:${path}`], {
      env: { ...process.env, SPANNER_EMULATOR_HOST: emulator.host },
    });
    expect(applied.stderr.toString()).toBe("");
    expect(applied.exitCode).toBe(0);
    watch.noLeaderAfter = Infinity;
    await writable(cluster.nodes);
    expect(cluster.living.length).toBe(cluster.nodes.length);
    await cluster.settled();
    expect(await watch.stop()).toEqual([]);
    // The cluster's authority is back: who starts now is of it.
    const [last] = cluster.nodes.slice(-1) as [Node];
    last.signal("SIGTERM");
    expect(await last.exited()).toBe(0);
    last.start();
    await cluster.settled();
  }, 60_000);

  test("its database dropped and made again: the same", async () => {
    await using running = await start();
    const { emulator, cluster, path } = running;
    await dropDatabase(emulator.host, path);
    await until("all nodes say what is missing", RECOVERY_MS, () =>
      cluster.nodes.every((node) => node.stderr.includes("hedgerow schema apply")),
    );
    await createDatabase(emulator.host, NAME, GO_SYSTEM_TABLES);
    await writable(cluster.nodes);
    expect(cluster.living.length).toBe(cluster.nodes.length);
  }, 60_000);
});
