import { HedgerowError } from "../errors.ts";
import { checkName, LOCK_ROW_PREFIX } from "../store/limits.ts";

/** What begins the names of rows that belong to the Go system and to nodes' own locks. */
const RESERVED_PREFIX = "hedge/spindle/";

/** Name of the row of a node's own lock, as the Go system has it. */
export function lockRowName(lockName: string): string {
  return `${LOCK_ROW_PREFIX}${lockName}`;
}

/**
 * Name of the row of a lock beside the nodes' own: the bare name, as the Go system has it. Throws
 * `invalid_argument` for one that could be another lock's row or marker, and `too_large`.
 */
export function namedRowName(name: string): string {
  checkName(name, "lock name");
  if (name.startsWith(RESERVED_PREFIX)) {
    throw new HedgerowError(
      "invalid_argument",
      `lock names that begin with ${RESERVED_PREFIX} are the nodes' own: choose another beginning`,
    );
  }
  if (/_\d+$/.test(name)) {
    throw new HedgerowError(
      "invalid_argument",
      "lock names that end in _ and digits mark take-overs of other locks: put another character before the digits, or one after them",
    );
  }
  return name;
}
