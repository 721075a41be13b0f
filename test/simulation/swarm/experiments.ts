import type { GossipTiming } from "../../../src/members/timing.ts";
import { Swarm } from "./swarm.ts";

/** What every experiment needs. */
export interface Setting {
  readonly seed: number;
  readonly nodes: number;
  readonly timing: GossipTiming;
  /** One of so many messages goes through the real codec. Default 1: all do. */
  readonly codecEvery?: number;
}

export interface Detections {
  /** Milliseconds from each crash until all knew of it, ascending. */
  readonly ms: readonly number[];
  readonly falseDeaths: readonly string[];
}

/**
 * Nodes crash one by one, at most so many probe intervals apart, each while others are still being found, and start
 * again once all know of it. That does not help to find them, on the contrary: helpers may be dead, and lists that
 * differ for a moment spoil the order in which members are probed.
 */
export function detect(setting: Setting, crashes: number, apartIntervals = 4): Detections {
  const swarm = new Swarm(setting.seed, setting);
  const { probeIntervalMs } = setting.timing;
  swarm.pass(10 * probeIntervalMs);
  for (let i = 0; i < crashes; i++) {
    swarm.pass(swarm.prng.between(0, apartIntervals * probeIntervalMs));
    const victim = swarm.prng.pick(swarm.living);
    swarm.crash(victim);
    const restart = () => {
      const known = swarm.living.every(({ members }) => !members.has(victim.address));
      if (known) swarm.restart(victim.address);
      else swarm.scheduler.after(probeIntervalMs, restart);
    };
    swarm.scheduler.after(4 * probeIntervalMs, restart);
  }
  swarm.until(3_600_000, () => swarm.detectionsMs.length === crashes, probeIntervalMs);
  const ms = swarm.detectionsMs.toSorted((a, b) => a - b);
  return { ms, falseDeaths: swarm.falseDeaths };
}

/** Deaths of living nodes while every message is lost with a probability. */
export function falseDeaths(
  setting: Setting,
  loss: number,
  simulatedMs: number,
): readonly string[] {
  const swarm = new Swarm(setting.seed, setting);
  swarm.transport.loss = loss;
  swarm.pass(simulatedMs);
  return swarm.falseDeaths;
}

/**
 * Milliseconds from the end of a partition into halves until all know all again; Infinity if they did not, or if
 * somebody was given up afterwards, whose refutation came too late.
 */
export function heal(setting: Setting, cutMs: number, withinMs: number): number {
  const swarm = new Swarm(setting.seed, setting);
  swarm.pass(2_000);
  swarm.partition(swarm.nodes.filter((_, i) => i % 2 === 0));
  swarm.pass(cutMs);
  swarm.heal();
  const healedMs = swarm.until(withinMs, () => swarm.isWhole());
  swarm.pass(20 * setting.timing.probeIntervalMs);
  return swarm.isWhole() && swarm.falseDeaths.length === 0 ? healedMs : Infinity;
}

export interface Traffic {
  /** Payload bytes per second and node, sent and received counted once. */
  readonly probes: number;
  readonly besides: number;
}

/** What an idle cluster says. Every ping of an idle cluster is a probe but those that compare lists. */
export function idle(setting: Setting, simulatedMs: number): Traffic {
  const swarm = new Swarm(setting.seed, setting);
  swarm.pass(20 * setting.timing.gossipIntervalMs);
  const { bytes } = swarm.transport;
  const before = { ...bytes };
  swarm.pass(simulatedMs);
  const perSecond = (method: string) =>
    ((bytes[method] ?? 0) - (before[method] ?? 0)) / (simulatedMs / 1e3) / setting.nodes;
  return { probes: perSecond("Ping") + perSecond("PingIndirect"), besides: perSecond("Sync") };
}

export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? NaN;
}
