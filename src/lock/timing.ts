/** The arithmetic of a lease. DESIGN.md argues why it is safe. All in milliseconds. */
export interface LeaseTiming {
  readonly leaseMs: number;
  /** A leader renews this long after it sent its last successful renewal. */
  readonly renewEveryMs: number;
  /** A leader leads no longer than this after it sent its last successful renewal. */
  readonly holdMs: number;
  /** Contenders wait until the heartbeat is this old by the database's clock. */
  readonly takeOverAgeMs: number;
  /** Time-out of one renewal, so that another attempt fits in before `holdMs`. */
  readonly renewTimeoutMs: number;
  /** Pause after a failed call before the next, before jitter. */
  readonly retryMs: number;
}

export const MIN_LEASE_MS = 2_000;
export const DEFAULT_LEASE_MS = 30_000;

export function leaseTiming(leaseMs: number): LeaseTiming {
  return {
    leaseMs,
    renewEveryMs: leaseMs / 3,
    holdMs: 0.9 * leaseMs - 100,
    takeOverAgeMs: leaseMs + Math.min(1_000, leaseMs / 4),
    renewTimeoutMs: leaseMs / 5,
    retryMs: Math.min(1_000, leaseMs / 20),
  };
}

/** For the control binary: who has led leads for ever. */
export function withoutDeadline(timing: LeaseTiming): LeaseTiming {
  return { ...timing, holdMs: Infinity };
}
