import { HedgerowError, messageOf } from "../errors.ts";
import { lockRowName } from "../lock/row-name.ts";
import { leaseTiming } from "../lock/timing.ts";
import { otherLease } from "../members/exchange.ts";
import type { Logger } from "../observe/logger.ts";
import type { LockRow, LockStore } from "../store/ports.ts";
import { isAddress } from "./address.ts";
import type { Joining } from "./joining.ts";

/** Bound of each call, in milliseconds. */
const CALL_TIMEOUT_MS = 2_000;

export interface FirstContactOptions {
  readonly lock: LockStore;
  readonly joining: Joining;
  readonly logger: Logger;
  readonly address: string;
  readonly lockName: string;
  readonly leaseMs: number;
  /** Told of the lock's row, if there is one. */
  readonly onRow: (row: LockRow) => void;
}

/**
 * Meets the cluster through the lock's row, before this node contends. Throws `wrong_cluster` for settings that are
 * not the cluster's; that nobody answers is no error.
 */
export async function firstContact(options: FirstContactOptions): Promise<void> {
  const { lock, joining, logger, address, lockName, leaseMs } = options;
  const row = await lock
    .read(lockRowName(lockName), { timeoutMs: CALL_TIMEOUT_MS })
    .catch((error: unknown) => {
      logger.warn("lock not readable at start", { error: messageOf(error) });
      return null;
    });
  if (row === null) return;
  checkLease(row, leaseMs);
  options.onRow(row);
  const { writer, ageMs } = row;
  // Anybody may have written the row.
  if (ageMs === Infinity || !isAddress(writer) || writer === address) return;
  const error = await joining.meet(writer);
  const holds = ageMs !== null && ageMs < leaseTiming(leaseMs).takeOverAgeMs;
  if (error?.code !== "other_cluster" || !holds) return;
  const mend = "start all nodes that share a lock with one --label";
  throw new HedgerowError("wrong_cluster", `${error.message}: ${mend}`, { cause: error });
}

/** Whoever holds the lock says in its row by which lease: that is the cluster's, also if it does not answer. */
function checkLease(row: LockRow, ownMs: number): void {
  const { leaseMs, ageMs } = row;
  if (leaseMs === null || leaseMs === ownMs) return;
  if (ageMs !== null && ageMs >= leaseTiming(leaseMs).takeOverAgeMs) return;
  throw otherLease(ownMs, leaseMs);
}
