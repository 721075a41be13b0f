import { HedgerowError, messageOf } from "../errors.ts";
import { lockRowName } from "../lock/row-name.ts";
import { leaseTiming } from "../lock/timing.ts";
import { otherLease } from "../members/exchange.ts";
import type { Gossip } from "../members/gossip.ts";
import type { Logger } from "../observe/logger.ts";
import type { LockRow, LockStore } from "../store/ports.ts";
import { isAddress } from "./address.ts";

/** Bound of each call, in milliseconds. */
const CALL_TIMEOUT_MS = 2_000;

export interface FirstContactOptions {
  readonly lock: LockStore;
  readonly gossip: Gossip;
  readonly logger: Logger;
  readonly address: string;
  readonly lockName: string;
  readonly leaseMs: number;
  readonly join: readonly string[];
  /** Told of the lock's row, if there is one. */
  readonly onRow: (row: LockRow) => void;
}

/**
 * Meets the cluster through the lock's row and the addresses given, before this node contends. Throws
 * `wrong_cluster` for settings that are not the cluster's; that nobody answers is no error.
 */
export async function firstContact(options: FirstContactOptions): Promise<void> {
  const { lock, logger, address, lockName, leaseMs, join } = options;
  const row = await lock
    .read(lockRowName(lockName), { timeoutMs: CALL_TIMEOUT_MS })
    .catch((error: unknown) => {
      logger.warn("lock not readable at start", { error: messageOf(error) });
      return null;
    });
  if (row !== null) {
    checkLease(row, leaseMs);
    options.onRow(row);
  }
  const seeds = new Set(join);
  // Anybody may have written the row.
  if (row !== null && row.ageMs !== Infinity && isAddress(row.writer)) seeds.add(row.writer);
  seeds.delete(address);
  const { takeOverAgeMs } = leaseTiming(leaseMs);
  const holder = row?.ageMs != null && row.ageMs < takeOverAgeMs ? row.writer : null;
  await Promise.all([...seeds].map((seed) => meet(options, seed, seed === holder)));
}

/** Joins through a node, if it can be reached. `holds`: it surely holds this node's own lock. */
async function meet(
  { gossip, logger }: FirstContactOptions,
  seed: string,
  holds: boolean,
): Promise<void> {
  try {
    await gossip.sync(seed, CALL_TIMEOUT_MS);
  } catch (error) {
    const { code, message } = HedgerowError.from(error);
    if (code === "wrong_cluster" || code === "invalid_argument") throw error;
    if (code === "other_cluster" && holds) {
      const mend = "start all nodes that share a lock with one --label";
      throw new HedgerowError("wrong_cluster", `${message}: ${mend}`, { cause: error });
    }
    // Nobody there is usual: a leader that ended. Somebody who does not speak with this node is not.
    const spoken = code === "outcome_unknown" || code === "other_cluster";
    const mend = "see that all nodes have the same --store, --label and --tls";
    if (spoken) logger.warn(`not joined: ${mend}`, { seed, error: message });
    else logger.info("not joined through", { seed, error: message });
  }
}

/** Whoever holds the lock says in its row by which lease: that is the cluster's, also if it does not answer. */
function checkLease(row: LockRow, ownMs: number): void {
  const { leaseMs, ageMs } = row;
  if (leaseMs === null || leaseMs === ownMs) return;
  if (ageMs !== null && ageMs >= leaseTiming(leaseMs).takeOverAgeMs) return;
  throw otherLease(ownMs, leaseMs);
}
