import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";

/** Injects faults at random moments until a moment, at most two nodes down or paused at a time. */
export function injectFaults(cluster: SimulatedCluster, untilMs: number): void {
  const { scheduler, options } = cluster;
  const prng = cluster.prng.fork();
  const { leaseMs } = options;
  const again = () => {
    if (scheduler.now >= untilMs) return;
    const undo = pickFault(cluster, prng.int(9), () => prng.pick(cluster.nodes), prng);
    // Now and then longer than permits are held without a renewal.
    const lasts = prng.chance(0.15) ? prng.between(3, 6) : prng.between(0.1, 2);
    scheduler.after(lasts * leaseMs, undo);
    scheduler.after(prng.between(0.2, 1.5) * leaseMs, again);
  };
  scheduler.after(prng.between(0.5, 1.5) * leaseMs, again);
}

function pickFault(
  cluster: SimulatedCluster,
  kind: number,
  anyNode: () => SimulatedNode,
  prng: SimulatedCluster["prng"],
): () => void {
  const { network, storeFaults, nodes } = cluster;
  const disturbed = nodes.filter(({ machine }) => !machine.alive || machine.paused).length;
  // Whoever leads suffers more often than chance would have it.
  const [leader] = cluster.leaders();
  const victim = leader !== undefined && prng.chance(0.6) ? leader : anyNode();
  const healthy = victim.machine.alive && !victim.machine.paused && disturbed < 2;
  const nothing = () => {};
  switch (kind) {
    case 0: {
      if (!healthy) return nothing;
      cluster.crash(victim);
      return () => {
        if (!victim.machine.alive) cluster.restart(victim);
      };
    }
    case 8: {
      if (!healthy || !victim.core.running) return nothing;
      const { core } = victim;
      cluster.stop(victim);
      return () => {
        if (victim.core === core && !victim.machine.alive) cluster.restart(victim);
      };
    }
    case 1:
    case 2: {
      if (!healthy) return nothing;
      const { machine } = victim;
      cluster.pause(victim);
      return () => {
        if (victim.machine === machine) cluster.resume(victim);
      };
    }
    case 3: {
      cluster.partition([victim], prng.chance(0.5));
      return () => network.healAll();
    }
    case 4: {
      const half = nodes.filter(() => prng.chance(0.5));
      cluster.partition(half, prng.chance(0.3));
      return () => network.healAll();
    }
    case 5: {
      network.faults.loss = prng.between(0, 0.3);
      network.faults.duplication = prng.between(0, 0.2);
      network.faults.maxDelayMs = prng.between(1, 200);
      return () => network.healAll();
    }
    case 6: {
      storeFaults.lostReply = prng.between(0, 0.5);
      storeFaults.refusal = prng.between(0, 0.3);
      storeFaults.maxDelayMs = prng.between(1, 300);
      return () => {
        storeFaults.lostReply = 0;
        storeFaults.refusal = 0;
        storeFaults.maxDelayMs = 3;
      };
    }
    default: {
      storeFaults.down = true;
      return () => {
        storeFaults.down = false;
      };
    }
  }
}
