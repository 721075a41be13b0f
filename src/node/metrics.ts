import { version } from "../../package.json";
import type { LeaderHint } from "../errors.ts";
import type { Lease } from "../lock/lease.ts";
import { leaderMetrics } from "../lock/metrics.ts";
import type { Log } from "../log/log.ts";
import type { Locks } from "../lock/named/locks.ts";
import type { Gossip } from "../members/gossip.ts";
import { memberMetrics } from "../members/metrics.ts";
import type { Observers } from "../members/observers.ts";
import { by, counter, type Family, gauge, histogram, outcomes } from "../observe/families.ts";
import { trafficMetrics } from "../rpc/metrics.ts";
import type { Semaphores } from "../semaphore/semaphores.ts";
import { spillMetrics } from "../spill/metrics.ts";
import type { Spill } from "../spill/spill.ts";
import type { NodeCounts } from "./counts.ts";

// Loaded when somebody asks for the first time: what is counted until then are plain numbers.

/** What a node counts that has a store. */
export interface MeasuredStore {
  readonly lease: Lease;
  readonly isLeader: boolean;
  readonly leader: LeaderHint | null;
  readonly log: Log;
  readonly locks: Locks;
  readonly semaphores: Semaphores;
}

/** What every node counts. */
export interface MeasuredNode {
  readonly gossip: Gossip;
  readonly observers: Observers;
  readonly spill: Spill;
  readonly label: string;
}

export function memberSideMetrics({ gossip, observers, spill, label }: MeasuredNode): Family[] {
  return [
    gauge("hedgerow_build_info", "1, with the version of Hedgerow and that of Bun.", {
      labels: { version, bun: Bun.version },
      value: 1,
    }),
    ...memberMetrics(gossip, observers, label),
    ...spillMetrics(spill),
  ];
}

export function storeMetrics({
  lease,
  isLeader,
  leader,
  log,
  locks,
  semaphores,
}: MeasuredStore): Family[] {
  const claims = { lock: locks.figures, permit: semaphores.figures };
  return [
    ...leaderMetrics(lease, isLeader, leader),
    gauge(
      "hedgerow_claims_held",
      "Locks and permits that callers of this node hold.",
      ...by("kind", { lock: claims.lock.held, permit: claims.permit.held }),
    ),
    gauge(
      "hedgerow_claims_awaited",
      "Locks and permits that callers of this node wait for.",
      ...by("kind", { lock: claims.lock.waiting, permit: claims.permit.waiting }),
    ),
    gauge("hedgerow_watches", "Callers of this node that watch a key.", log.figures.watching),
    gauge(
      "hedgerow_log_waiting_puts",
      "Puts that wait for this node to write them, as the leader.",
      log.figures.waiting,
    ),
  ];
}

/** What users call, what the store and other nodes are asked; `callsUnderWay` have not ended. */
export function edgeMetrics(counts: NodeCounts, callsUnderWay: number): Family[] {
  const calls = [...counts.calls];
  const store = [...counts.store];
  return [
    counter(
      "hedgerow_calls_total",
      "Calls of this node by its application and its http listener, by how they ended: ok or an error's code.",
      ...calls.flatMap(([call, count]) => outcomes({ call }, count)),
    ),
    histogram(
      "hedgerow_call_duration_seconds",
      "How long those calls took, failed ones included.",
      ...calls.map(([call, { durations }]) => ({ labels: { call }, value: durations })),
    ),
    gauge(
      "hedgerow_calls_in_flight",
      "Calls of this node, and of other nodes to it, that have not ended; those of membership aside.",
      callsUnderWay,
    ),
    counter(
      "hedgerow_store_calls_total",
      "Calls to the database, by how they ended.",
      ...store.flatMap(([call, count]) => outcomes({ call }, count)),
    ),
    histogram(
      "hedgerow_store_call_duration_seconds",
      "How long calls to the database took.",
      ...store.map(([call, { durations }]) => ({ labels: { call }, value: durations })),
    ),
    ...trafficMetrics(counts.traffic),
  ];
}
