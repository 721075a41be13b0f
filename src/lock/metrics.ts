import type { LeaderHint } from "../errors.ts";
import { by, counter, type Family, gauge } from "../observe/families.ts";
import type { Lease } from "./lease.ts";

/** Who leads, as this node knows it, and how its own lease fares. */
export function leaderMetrics(
  lease: Pick<Lease, "figures" | "heldForMs" | "iterations" | "renewedAtMicros">,
  isLeader: boolean,
  leader: LeaderHint | null,
): Family[] {
  const { gains, losses, renewals, failures } = lease.figures;
  const renewedAt = lease.renewedAtMicros;
  return [
    gauge("hedgerow_is_leader", "1 if this node leads, else 0.", Number(isLeader)),
    gauge("hedgerow_leader_known", "1 if this node knows a leader.", Number(leader !== null)),
    gauge(
      "hedgerow_leader_token_timestamp_seconds",
      "Fencing token of the known leader: when it took over, seconds since the epoch. None while no leader is known.",
      ...(leader === null ? [] : [leader.token / 1e6]),
    ),
    gauge(
      "hedgerow_lease_remaining_seconds",
      "For how long this node leads without another renewal; 0 while it does not lead.",
      isLeader ? lease.heldForMs / 1e3 : 0,
    ),
    gauge(
      "hedgerow_lease_renewed_timestamp_seconds",
      "When this node took or renewed its lease last, seconds since the epoch. None while it does not lead.",
      ...(renewedAt === null ? [] : [renewedAt / 1e6]),
    ),
    counter(
      "hedgerow_lease_transitions_total",
      "How often this node came to lead (gained) and ceased to (lost).",
      ...by("to", { gained: gains, lost: losses }),
    ),
    counter("hedgerow_lease_renewals_total", "Renewals of its lease by this node.", renewals),
    counter(
      "hedgerow_lease_failures_total",
      "Attempts to read, take or renew the lease that ended with an error.",
      failures,
    ),
    counter("hedgerow_lease_rounds_total", "Rounds of the loop of the lease.", lease.iterations),
  ];
}
