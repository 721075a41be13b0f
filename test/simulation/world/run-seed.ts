import type { StoredEntry } from "../../../src/store/ports.ts";
import { CommitChecker, checkLog, checkRealTimeOrder, checkSingleLeader } from "./checkers.ts";
import { SimulatedCluster } from "./cluster.ts";
import { injectFaults } from "./faults.ts";
import { Workload } from "./workload.ts";

const LEASE_MS = 2_000;
/** After all faults have ended, the cluster has this long to be whole again. */
const RECOVERY_MS = 15_000;

export interface RunOptions {
  readonly nodes?: number;
  /** Simulated milliseconds with faults. */
  readonly faultsMs?: number;
  readonly protections?: boolean;
  readonly keepLines?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly traceHash: string;
  readonly lines: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  readonly acknowledged: number;
  readonly takeOvers: number;
}

/** One seed: a cluster under faults, then healed; safety all the time, progress at the end. */
export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const { nodes = 5, faultsMs = 30_000, protections = true, keepLines = false } = options;
  const violations: string[] = [];
  const observer = new CommitChecker();
  const cluster = new SimulatedCluster(seed, {
    nodes,
    leaseMs: LEASE_MS,
    observer,
    protections,
    keepLines,
  });
  const { scheduler } = cluster;
  scheduler.afterEach = () => checkSingleLeader(cluster, violations);
  const workload = new Workload(cluster);
  workload.start(faultsMs + RECOVERY_MS, 4);
  injectFaults(cluster, faultsMs);
  scheduler.runUntil(faultsMs);
  cluster.heal();
  if (!scheduler.runUntilDone(faultsMs + RECOVERY_MS, () => isWhole(cluster))) {
    violations.push(`not whole ${RECOVERY_MS} ms after the last fault: ${describe(cluster)}`);
  }
  const lastPuts = cluster.nodes.map((_, i) => workload.put("last", i));
  workload.stop();
  // Longer than any call may take: what is read then is all there will be.
  scheduler.runUntil(scheduler.now + 6_000);
  for (const put of lastPuts) {
    if (put?.outcome !== "ok")
      violations.push(`a put after recovery: ${put?.outcome ?? "no node"}`);
  }
  violations.push(
    ...observer.violations,
    ...workload.late,
    ...checkLog(workload.puts, readAll(cluster)),
    ...checkRealTimeOrder(workload.puts),
  );
  return {
    seed,
    violations,
    traceHash: cluster.trace.hash,
    lines: cluster.trace.lines,
    events: scheduler.events,
    simulatedMs: scheduler.now,
    acknowledged: workload.puts.filter((put) => put.outcome === "ok").length,
    takeOvers: observer.tokens.length,
  };
}

/** One leader that all know, and all know all. */
function isWhole(cluster: SimulatedCluster): boolean {
  const [leader, second] = cluster.leaders();
  if (leader === undefined || second !== undefined) return false;
  return cluster.nodes.every(
    ({ core }) =>
      core.running &&
      core.leader === leader.address &&
      core.members().filter((member) => !member.suspect).length === cluster.nodes.length,
  );
}

function describe(cluster: SimulatedCluster): string {
  return cluster.nodes
    .map(
      ({ address, core }) => `${address} knows ${core.leader} and ${core.members().length} members`,
    )
    .join("; ");
}

/** What the database holds, read past all faults. */
function readAll(cluster: SimulatedCluster): Map<string, StoredEntry[]> {
  const log = cluster.database.connect().log;
  const stored = new Map<string, StoredEntry[]>();
  for (const key of ["key-0", "key-1", "key-2", "key-3", "last"]) {
    void log?.read(key, -1).then((entries) => stored.set(key, entries));
  }
  cluster.scheduler.after(0, () => {});
  cluster.scheduler.runUntil(cluster.scheduler.now + 1);
  return stored;
}
