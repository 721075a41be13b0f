import { leaseTiming } from "../../../src/lock/timing.ts";
import { permitTiming } from "../../../src/semaphore/timing.ts";
import type { StoredEntry } from "../../../src/store/ports.ts";
import { checkLogHistories } from "../../histories/log-model.ts";
import {
  CommitChecker,
  checkConditions,
  checkLog,
  checkLostToken,
  checkRealTimeOrder,
  checkSingleLeader,
} from "./checkers.ts";
import { type ClusterOptions, SimulatedCluster } from "./cluster.ts";
import { injectFaults } from "./faults.ts";
import { addGoContenders } from "./go-contender.ts";
import { LockWorkload } from "./lock-workload.ts";
import { MAX_DRIFT } from "./machine.ts";
import { PermitWorkload } from "./permit-workload.ts";
import { Tempo } from "./tempo.ts";
import { WatchWorkload } from "./watch-workload.ts";
import { isUnknown, KEYS, Workload } from "./workload.ts";

const LEASE_MS = 2_000;
/** Longer than any call may take, and than the leader waits before it takes a permit back. */
const CLOSING_MS = slowest(permitTiming(LEASE_MS).revokeAfterMs) + 1_000;
/** After all faults have ended, the cluster has this long to be whole again. */
const RECOVERY_MS = 15_000;
/**
 * One of its nodes leads sooner: a call that hangs ends (a lease) before the row is read, or the last
 * heartbeat gets old. A marker that was stranded is watched for as long again.
 */
const LEADS_AGAIN_MS = slowest(leaseTiming(LEASE_MS).takeOverAgeMs + LEASE_MS / 2);
const PAST_MARKER_MS = slowest(leaseTiming(LEASE_MS).takeOverAgeMs);

/** A read that a watcher makes may hang for so long, and once more. */
const WATCHED_MS = 20_000;

export interface RunOptions extends Pick<ClusterOptions, "store" | "clock"> {
  readonly nodes?: number;
  /** Simulated milliseconds with faults. Default 30,000. */
  readonly faultsMs?: number;
  readonly protections?: boolean;
  /** Whether processes of the Go system contend for the lock, too. Default: in every fourth seed. */
  readonly go?: boolean;
  /** Whether the nodes' clocks drift. Default: in every second seed. */
  readonly drift?: boolean;
  readonly keepLines?: boolean;
}

export interface RunResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly traceHash: string;
  readonly lines: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  /** How many of each kind. */
  readonly faults: ReadonlyMap<string, number>;
  readonly acknowledged: number;
  /** Puts whose condition was not met. */
  readonly refused: number;
  /** Puts of which nobody knows whether they were done. */
  readonly unknown: number;
  readonly gets: number;
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
  const { go = seed % 4 === 0, drift = seed % 2 === 1, store, clock } = options;
  const violations: string[] = [];
  const observer = new CommitChecker();
  const cluster = new SimulatedCluster(seed, {
    nodes,
    leaseMs: LEASE_MS,
    observer,
    protections,
    keepLines,
    drift,
    store,
    clock,
  });
  const { scheduler } = cluster;
  const lost: string[] = [];
  const workload = new Workload(cluster);
  const locks = new LockWorkload(cluster);
  const permits = new PermitWorkload(cluster);
  const watches = new WatchWorkload(cluster);
  scheduler.afterEach = () => {
    locks.holders.check();
    permits.holders.check();
    const leaders = cluster.leaders();
    checkSingleLeader(cluster, violations, leaders);
    checkLostToken(cluster, observer, lost, leaders);
  };
  const workMs = faultsMs + RECOVERY_MS;
  const tempo = new Tempo(scheduler, cluster.prng.fork(), faultsMs);
  workload.start(workMs, 4, tempo);
  locks.start(workMs, 3, tempo);
  permits.start(workMs, 3, tempo);
  watches.start(workMs, 3);
  const faults = injectFaults(cluster, faultsMs, tempo, !go);
  if (go) addGoContenders(cluster, faultsMs);
  scheduler.runUntil(faultsMs);

  cluster.heal();
  const leadsAgainMs = LEADS_AGAIN_MS + (go ? PAST_MARKER_MS : 0);
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
  for (const part of [workload, locks, permits, watches]) part.stop();
  // What is read when whoever leads has led for so long is all there will be.
  const endedAt = scheduler.now;
  const lastReignAt = () => Math.min(endedAt + RECOVERY_MS, Math.max(endedAt, observer.heldSince));
  const closedAt = () => lastReignAt() + CLOSING_MS;
  while (scheduler.now < closedAt()) scheduler.runUntil(closedAt());
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
    ...readNow(cluster, permits.leaks()),
    ...observer.violations,
    ...workload.late,
    ...checkLog(workload.puts, stored),
    ...checkConditions(workload.puts, stored),
    ...checkLogHistories(workload.histories(), oldestFirst(stored)),
    ...watches.check(stored),
    ...checkRealTimeOrder(workload.puts),
  );
  const ended = (outcome: string | null) =>
    workload.puts.filter((put) => put.outcome === outcome).length;
  return {
    seed,
    violations,
    traceHash: cluster.trace.hash,
    lines: cluster.trace.lines,
    events: scheduler.events,
    simulatedMs: scheduler.now,
    faults,
    acknowledged: ended("ok"),
    refused: ended("conflict"),
    unknown: workload.puts.filter(isUnknown).length,
    gets: workload.gets.length,
    watched: watches.seen,
    locksTaken: locks.acquired,
    permitsTaken: permits.acquired,
    takeOvers: observer.tokens.length,
    goTakeOvers: observer.goTakeOvers,
    markersOvercome: observer.markersOvercome,
  };
}

/** How long something lasts by the slowest clock there is. */
function slowest(ms: number): number {
  return ms / (1 - MAX_DRIFT);
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
function readNow<T>({ scheduler }: SimulatedCluster, reading: Promise<T>): T {
  let found: { readonly value: T } | null = null;
  void reading.then((value) => {
    found = { value };
  });
  scheduler.runUntil(scheduler.now);
  return (found as unknown as { readonly value: T }).value;
}

/** What the database holds of each key, newest first. */
function readAll(cluster: SimulatedCluster): Map<string, StoredEntry[]> {
  const { log } = cluster.database.connect();
  if (log === null) throw new Error("the simulated database has a log");
  const keys = [...KEYS, "last"];
  const reading = Promise.all(keys.map((key) => log.read(key, -1)));
  return new Map(readNow(cluster, reading).map((entries, i) => [keys[i] ?? "", entries]));
}

function oldestFirst(stored: ReadonlyMap<string, readonly StoredEntry[]>): Map<string, string[]> {
  return new Map([...stored].map(([key, entries]) => [key, entries.map(({ id }) => id).reverse()]));
}
