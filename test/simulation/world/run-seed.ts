import { leaseTiming } from "../../../src/lock/timing.ts";
import { permitTiming } from "../../../src/semaphore/timing.ts";
import type { LogStore, StoredEntry } from "../../../src/store/ports.ts";
import {
  CommitChecker,
  checkConditions,
  checkLog,
  checkLostToken,
  checkRealTimeOrder,
  checkSingleLeader,
} from "./checkers.ts";
import { SimulatedCluster } from "./cluster.ts";
import { injectFaults } from "./faults.ts";
import { addGoContenders } from "./go-contender.ts";
import { LockWorkload } from "./lock-workload.ts";
import { PermitWorkload } from "./permit-workload.ts";
import { WatchWorkload } from "./watch-workload.ts";
import { Workload } from "./workload.ts";

const LEASE_MS = 2_000;
/** Longer than any call may take, and than the leader waits before it takes a permit back. */
const CLOSING_MS = permitTiming(LEASE_MS).revokeAfterMs + 1_000;
/** After all faults have ended, the cluster has this long to be whole again. */
const RECOVERY_MS = 15_000;
/**
 * One of its nodes leads sooner: a call that hangs ends (a lease) before the row is read, or the last
 * heartbeat gets old. A marker that was stranded is watched for as long again.
 */
const LEADS_AGAIN_MS = leaseTiming(LEASE_MS).takeOverAgeMs + LEASE_MS / 2;

/** A read that a watcher makes may hang for so long, and once more. */
const WATCHED_MS = 20_000;

export interface RunOptions {
  readonly nodes?: number;
  /** Simulated milliseconds with faults. */
  readonly faultsMs?: number;
  readonly protections?: boolean;
  /** Whether processes of the Go system contend for the lock, too. Default: in every fourth seed. */
  readonly go?: boolean;
  readonly keepLines?: boolean;
  /** For controls, see ClusterOptions. */
  readonly log?: (log: LogStore) => LogStore;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly traceHash: string;
  readonly lines: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  readonly acknowledged: number;
  /** Puts whose condition was not met. */
  readonly refused: number;
  /** Versions that watchers saw. */
  readonly watched: number;
  /** Beside the leader's. */
  readonly locksTaken: number;
  readonly permitsTaken: number;
  /** Of the leader's lock, by our nodes. */
  readonly takeOvers: number;
  readonly goTakeOvers: number;
  /** Take-overs by our nodes past a marker that a Go contender had left. */
  readonly markersOvercome: number;
}

/** One seed: a cluster under faults, then healed; safety all the time, progress at the end. */
export function runSeed(seed: number, options: RunOptions = {}): RunResult {
  const { nodes = 5, faultsMs = 30_000, protections = true, keepLines = false } = options;
  const { go = seed % 4 === 0 } = options;
  const violations: string[] = [];
  const observer = new CommitChecker();
  const cluster = new SimulatedCluster(seed, {
    nodes,
    leaseMs: LEASE_MS,
    observer,
    protections,
    keepLines,
    log: options.log,
  });
  const { scheduler } = cluster;
  const lost: string[] = [];
  const locks = new LockWorkload(cluster);
  const permits = new PermitWorkload(cluster);
  scheduler.afterEach = () => {
    locks.holders.check();
    permits.holders.check();
    checkSingleLeader(cluster, violations);
    checkLostToken(cluster, observer, lost);
  };
  const workload = new Workload(cluster);
  workload.start(faultsMs + RECOVERY_MS, 4);
  locks.start(faultsMs + RECOVERY_MS, 3);
  permits.start(faultsMs + RECOVERY_MS, 3);
  const watches = new WatchWorkload(cluster);
  watches.start(faultsMs + RECOVERY_MS, 3);
  injectFaults(cluster, faultsMs);
  if (go) addGoContenders(cluster, faultsMs);
  scheduler.runUntil(faultsMs);
  cluster.heal();
  const leadsAgainMs = LEADS_AGAIN_MS + (go ? leaseTiming(LEASE_MS).takeOverAgeMs : 0);
  if (!scheduler.runUntilDone(faultsMs + leadsAgainMs, () => cluster.leaders().length > 0)) {
    violations.push(`nobody leads ${leadsAgainMs} ms after the last fault: ${describe(cluster)}`);
  }
  if (!scheduler.runUntilDone(faultsMs + RECOVERY_MS, () => isWhole(cluster))) {
    violations.push(`not whole ${RECOVERY_MS} ms after the last fault: ${describe(cluster)}`);
  }
  watches.watchEverywhere("last");
  const lastPuts = cluster.nodes.map((_, i) => workload.put("last", i));
  const lastLocks = locks.lastRound();
  const lastPermits = permits.lastRound();
  workload.stop();
  locks.stop();
  permits.stop();
  watches.stop();
  // Longer than any call may take: what is read then is all there will be.
  scheduler.runUntil(scheduler.now + CLOSING_MS);
  for (const put of lastPuts) {
    if (put?.outcome !== "ok")
      violations.push(`a put after recovery: ${put?.outcome ?? "no node"}`);
  }
  if (lastLocks() > 0) violations.push(`${lastLocks()} locks were not to be had after recovery`);
  if (lastPermits() > 0) {
    violations.push(`${lastPermits()} permits were not to be had after recovery`);
  }
  const stored = readAll(cluster);
  scheduler.runUntilDone(scheduler.now + WATCHED_MS, () => watches.isComplete(stored));
  violations.push(
    ...lost,
    ...locks.wrong,
    ...locks.holders.violations,
    ...permits.wrong,
    ...permits.holders.violations,
    ...read(cluster, permits.leaks()),
    ...observer.violations,
    ...workload.late,
    ...checkLog(workload.puts, stored),
    ...checkConditions(workload.puts, stored),
    ...watches.check(stored),
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
    refused: workload.puts.filter((put) => put.outcome === "conflict").length,
    watched: watches.seen,
    locksTaken: locks.acquired,
    permitsTaken: permits.acquired,
    takeOvers: observer.tokens.length,
    goTakeOvers: observer.goTakeOvers,
    markersOvercome: observer.markersOvercome,
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

/** What somebody reads who asks the database past all faults. */
function read<T>(cluster: SimulatedCluster, reading: Promise<T>): T {
  let found: { readonly value: T } | null = null;
  void reading.then((value) => {
    found = { value };
  });
  cluster.scheduler.runUntil(cluster.scheduler.now);
  return (found as unknown as { readonly value: T }).value;
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
