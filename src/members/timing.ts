/**
 * The pace of failure detection: the constants of SWIM and Lifeguard as hashicorp/memberlist has them, and a
 * faster set of our own. The same on all nodes of a cluster. Milliseconds where the name ends in `Ms`.
 */
export interface GossipTiming {
  /** One member is probed per interval. */
  readonly probeIntervalMs: number;
  /** A probe without answer is asked of others after this. */
  readonly probeTimeoutMs: number;
  /** How many others are asked. */
  readonly indirectProbes: number;
  /** News are told this often, for as long as there are any. */
  readonly gossipIntervalMs: number;
  /** To how many members each time. */
  readonly gossipFanout: number;
  /** A suspect has at least `factor * max(1, log10(n)) * probeIntervalMs` to refute. */
  readonly suspicionFactor: number;
  /** A suspect of whom only one says so has this many times as long. */
  readonly suspicionMaxFactor: number;
  /** How many others must say so for the least time. */
  readonly confirmations: number;
  /** A statement travels on `factor * ceil(log10(n + 1))` messages of each node. */
  readonly retransmitFactor: number;
  /** Local health ends here: a node in trouble waits this many times longer for answers, plus one. */
  readonly maxHealthScore: number;
  /** How long the gone are remembered: so long no stale list brings them back, and the dead are tried again. */
  readonly tombstoneMs: number;
  /** Lists are compared with a random member this often, less often in large clusters. */
  readonly syncIntervalMs: number;
}

/** Statements on one message at most. */
export const MAX_PIGGYBACK = 256;
/** Notices on one message at most: the freshest. */
export const MAX_NOTICES = 32;
/** Members of one cluster at most, those who are gone included: bounds every list that is taken in. */
export const MAX_MEMBERS = 10_000;

/** Ours: a crash is known to all within 5 s at 151 nodes. */
export const FAST_PROFILE: GossipTiming = {
  probeIntervalMs: 500,
  probeTimeoutMs: 200,
  indirectProbes: 3,
  gossipIntervalMs: 100,
  gossipFanout: 3,
  suspicionFactor: 2,
  suspicionMaxFactor: 6,
  confirmations: 2,
  retransmitFactor: 4,
  maxHealthScore: 7,
  tombstoneMs: 3_600_000,
  syncIntervalMs: 30_000,
};

/** memberlist's DefaultLANConfig. */
export const LAN_PROFILE: GossipTiming = {
  ...FAST_PROFILE,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  gossipIntervalMs: 200,
  suspicionFactor: 4,
};

/** memberlist's DefaultWANConfig. */
export const WAN_PROFILE: GossipTiming = {
  ...LAN_PROFILE,
  probeIntervalMs: 5_000,
  probeTimeoutMs: 3_000,
  gossipIntervalMs: 500,
  gossipFanout: 4,
  suspicionFactor: 6,
  confirmations: 4,
  syncIntervalMs: 60_000,
};

export const GOSSIP_PROFILES = { fast: FAST_PROFILE, lan: LAN_PROFILE, wan: WAN_PROFILE } as const;
/**
 * How long a suspect has to refute in a cluster of `members`, of whom `accusers` could not reach it. Lifeguard's
 * arithmetic (memberlist's suspicion.go): from the most to the least as the logarithm of the confirmations.
 */
export function suspicionMs(timing: GossipTiming, members: number, accusers: number): number {
  const scale = Math.max(1, Math.log10(Math.max(1, members)));
  const leastMs = timing.suspicionFactor * scale * timing.probeIntervalMs;
  const wanted = timing.confirmations;
  // Too few others to ask for more.
  if (wanted === 0 || members - 2 < wanted) return leastMs;
  const mostMs = timing.suspicionMaxFactor * leastMs;
  const confirmed = Math.min(Math.max(0, accusers - 1), wanted);
  const share = Math.log(confirmed + 1) / Math.log(wanted + 1);
  return Math.max(leastMs, mostMs - share * (mostMs - leastMs));
}

/** On how many messages of each node a statement travels. */
export function retransmits(timing: GossipTiming, members: number): number {
  return timing.retransmitFactor * Math.ceil(Math.log10(members + 1));
}

/** memberlist's pushPullScale: above 32 members the interval grows with the logarithm of their number. */
export function syncIntervalMs(timing: GossipTiming, members: number): number {
  const scale = members <= 32 ? 1 : Math.ceil(Math.log2(members) - 5) + 1;
  return scale * timing.syncIntervalMs;
}
