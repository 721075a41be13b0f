import { LOCK_ROW_PREFIX } from "../store/limits.ts";

/** Name of the row of a node's own lock, as the Go system has it. */
export function lockRowName(lockName: string): string {
  return `${LOCK_ROW_PREFIX}${lockName}`;
}
