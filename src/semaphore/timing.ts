import { leaseTiming } from "../lock/timing.ts";

/** The arithmetic of permits. DESIGN.md argues why it is safe, and why the lease is so long. All in milliseconds. */
export interface PermitTiming {
  /** A permit's lease. */
  readonly leaseMs: number;
  /** A holder says this often that it uses its permits still. */
  readonly renewEveryMs: number;
  /** The leader takes a permit back once it has not heard of it for this long. */
  readonly revokeAfterMs: number;
  /** The leader answers those who wait for permits this often, if there is nothing to tell. */
  readonly pollMs: number;
  /** An answer that is later than due by this is given up, and asked for anew. */
  readonly lateMs: number;
  /** Who waits keeps its place for this long after its last request has ended. */
  readonly keepPlaceMs: number;
}

/** All nodes have one lease, so that all have one timing. */
export function permitTiming(nodeLeaseMs: number): PermitTiming {
  const leaseMs = 2 * nodeLeaseMs + 2_000;
  const lateMs = Math.min(2_000, nodeLeaseMs / 2);
  return {
    leaseMs,
    renewEveryMs: nodeLeaseMs / 3,
    revokeAfterMs: leaseTiming(leaseMs).takeOverAgeMs,
    pollMs: Math.min(10_000, nodeLeaseMs / 2),
    lateMs,
    keepPlaceMs: lateMs + 1_000,
  };
}

/** Until when a permit is surely held whose lease is counted from `sentAt`, by the same clock. */
export function heldUntil(sentAt: number, leaseMs: number): number {
  return sentAt + leaseTiming(leaseMs).holdMs;
}

/** A permit of the Go system, which says nothing to our leaders, is taken back after this. */
export const GO_PATIENCE_MS = 600_000;
