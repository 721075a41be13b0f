import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";
import type { Prng } from "./prng.ts";
import { NO_STORE_FAULTS } from "./store.ts";
import type { Tempo } from "./tempo.ts";

const HOUR_MS = 3_600_000;

/** Where a fault strikes. */
interface Target {
  readonly cluster: SimulatedCluster;
  readonly prng: Prng;
  /** Whoever leads suffers more often than chance would have it. */
  readonly victim: SimulatedNode;
  /** The victim runs, and few enough others do not that it may be hindered, too. */
  readonly mayFall: boolean;
  readonly databaseJumps: boolean;
}

interface Fault {
  /** Begins it, and gives what ends it; null where it cannot be. */
  readonly begin: (target: Target) => (() => void) | null;
  /** In leases. Default: mostly up to two; now and then longer than permits are held without a renewal. */
  readonly lasts?: (prng: Prng) => number;
}

/** At most so many nodes are down or paused at a time. */
const MAX_FALLEN = 2;

const crash: Fault = {
  begin({ cluster, victim, mayFall }) {
    if (!mayFall) return null;
    cluster.crash(victim);
    return () => {
      if (!victim.machine.alive) cluster.restart(victim);
    };
  },
};

const stop: Fault = {
  begin({ cluster, victim, mayFall }) {
    const { core } = victim;
    if (!mayFall || !core.running) return null;
    cluster.stop(victim);
    return () => {
      if (victim.core === core && !victim.machine.alive) cluster.restart(victim);
    };
  },
};

const pause: Fault = {
  begin({ cluster, victim, mayFall }) {
    if (!mayFall) return null;
    const { machine } = victim;
    cluster.pause(victim);
    return () => {
      if (victim.machine === machine) cluster.resume(victim);
    };
  },
};

const isolation: Fault = {
  begin({ cluster, prng, victim }) {
    cluster.partition([victim], prng.chance(0.5));
    return () => cluster.network.healAll();
  },
};

const partition: Fault = {
  begin({ cluster, prng }) {
    const half = cluster.nodes.filter(() => prng.chance(0.5));
    cluster.partition(half, prng.chance(0.3));
    return () => cluster.network.healAll();
  },
};

const badNetwork: Fault = {
  begin({ cluster: { network }, prng }) {
    network.faults.loss = prng.between(0, 0.3);
    network.faults.duplication = prng.between(0, 0.2);
    network.faults.maxDelayMs = prng.between(1, 200);
    return () => network.healAll();
  },
};

const badStore: Fault = {
  begin({ cluster: { storeFaults }, prng }) {
    storeFaults.lostReply = prng.between(0, 0.5);
    storeFaults.refusal = prng.between(0, 0.3);
    storeFaults.maxDelayMs = prng.between(1, 300);
    return () => {
      const { lostReply, refusal, maxDelayMs } = NO_STORE_FAULTS;
      Object.assign(storeFaults, { lostReply, refusal, maxDelayMs });
    };
  },
};

const storeOutage: Fault = {
  begin({ cluster: { storeFaults } }) {
    storeFaults.down = true;
    return () => {
      storeFaults.down = false;
    };
  },
  lasts: (prng) => prng.pick([prng.between(0.1, 1), 1, 3]),
};

const storeCutOff: Fault = {
  begin({ cluster: { storeFaults }, victim }) {
    storeFaults.cutOff = new Set([victim.address]);
    return () => {
      storeFaults.cutOff = NO_STORE_FAULTS.cutOff;
    };
  },
};

const wallClockJump: Fault = {
  begin({ cluster, prng, victim, databaseJumps }) {
    const ofDatabase = databaseJumps && prng.chance(0.3);
    // The process may be another one by then.
    const machine = () => (ofDatabase ? cluster.databaseMachine : victim.machine);
    const ms = prng.pick([-HOUR_MS, HOUR_MS]);
    cluster.jump(machine(), ms);
    return () => cluster.jump(machine(), -ms);
  },
};

/** All kinds of faults, by name. A kind that is named twice comes twice as often. */
const FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ["crash", crash],
  ["stop", stop],
  ["pause", pause],
  ["pause", pause],
  ["isolation", isolation],
  ["partition", partition],
  ["bad network", badNetwork],
  ["bad store", badStore],
  ["store outage", storeOutage],
  ["store cut off from one", storeCutOff],
  ["wall clock jump", wallClockJump],
];

export const FAULT_KINDS: readonly string[] = [...new Set(FAULTS.map(([name]) => name))];

/**
 * Injects faults at random moments until a moment; tells how many of each kind. `databaseJumps`: the wall clock
 * of the database jumps, too, which SQLite's may, and Spanner's does not.
 */
export function injectFaults(
  cluster: SimulatedCluster,
  untilMs: number,
  tempo: Tempo,
  databaseJumps: boolean,
): ReadonlyMap<string, number> {
  const { scheduler, options, nodes } = cluster;
  const prng = cluster.prng.fork();
  const { leaseMs } = options;
  const counts = new Map<string, number>();
  const again = () => {
    if (scheduler.now >= untilMs) return;
    const [name, { begin, lasts = usualLength }] = prng.pick(FAULTS);
    const [leader] = cluster.leaders();
    const victim = leader !== undefined && prng.chance(0.6) ? leader : prng.pick(nodes);
    const isUp = ({ machine }: SimulatedNode) => machine.alive && !machine.paused;
    const fallen = nodes.filter((node) => !isUp(node)).length;
    const mayFall = isUp(victim) && fallen < MAX_FALLEN;
    const end = begin({ cluster, prng, victim, mayFall, databaseJumps });
    if (end !== null) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
      scheduler.after(lasts(prng) * leaseMs, end);
    }
    scheduler.after(tempo.pause(prng.between(0.2, 1.5) * leaseMs), again);
  };
  scheduler.after(prng.between(0.5, 1.5) * leaseMs, again);
  return counts;
}

function usualLength(prng: Prng): number {
  return prng.chance(0.15) ? prng.between(3, 6) : prng.between(0.1, 2);
}
