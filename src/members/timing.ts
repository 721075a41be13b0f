/** The pace of failure detection; constants of SWIM and Lifeguard (hashicorp/memberlist), sped up. */
export interface GossipTiming {
  /** One member is probed per interval, in milliseconds. */
  readonly probeIntervalMs: number;
  /** A probe without answer is asked of others after this. */
  readonly probeTimeoutMs: number;
  /** How many others are asked. */
  readonly indirectProbes: number;
  /** A suspect has `factor * max(1, log10(n)) * probeIntervalMs` to refute. */
  readonly suspicionFactor: number;
  /** A statement travels on `factor * ceil(log10(n + 1))` messages of each node. */
  readonly retransmitFactor: number;
  /** How long the dead are remembered, so that a stale list does not bring them back. */
  readonly tombstoneMs: number;
  /** Whole lists are compared with a random member this often. */
  readonly syncIntervalMs: number;
}

/** Statements on one message at most. */
export const MAX_PIGGYBACK = 32;
/** Members of one cluster at most: bounds every list that is taken in. */
export const MAX_MEMBERS = 10_000;

export const FAST_PROFILE: GossipTiming = {
  probeIntervalMs: 500,
  probeTimeoutMs: 200,
  indirectProbes: 3,
  suspicionFactor: 2,
  retransmitFactor: 4,
  tombstoneMs: 60_000,
  syncIntervalMs: 30_000,
};

export function suspicionMs(timing: GossipTiming, memberCount: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, memberCount)));
  return timing.suspicionFactor * scale * timing.probeIntervalMs;
}

export function retransmits(timing: GossipTiming, memberCount: number): number {
  return timing.retransmitFactor * Math.ceil(Math.log10(memberCount + 1));
}
