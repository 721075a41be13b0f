import { HedgerowError } from "../errors.ts";
import {
  checkEntryId,
  checkKey,
  checkLockRow,
  checkName,
  checkUserKey,
  checkValue,
  checkVersionId,
  MAX_BATCH_ENTRIES,
} from "./limits.ts";
import {
  type Fence,
  NO_APPEND_ID,
  type NewEntry,
  type PermitChange,
  type TakeOver,
  type Trim,
} from "./ports.ts";

/** Input that every store refuses alike, before it touches its database. All throw `invalid_argument` or `too_large`. */

export function checkTakeOver(takeOver: TakeOver): void {
  checkLockRow(takeOver.name);
  checkName(takeOver.writer, "writer");
  if (takeOver.expectedToken !== null) checkToken(takeOver.expectedToken);
  if (!(takeOver.leaseMs > 0)) {
    throw new HedgerowError("invalid_argument", "leaseMs must be more than 0 milliseconds");
  }
  if (!(takeOver.minAgeMs >= 0)) {
    throw new HedgerowError("invalid_argument", "minAgeMs must be 0 or more milliseconds");
  }
}

export function checkClaim(name: string, token: number): void {
  checkLockRow(name);
  checkToken(token);
}

export function checkFence(fence: Fence): void {
  checkClaim(fence.name, fence.token);
}

export function checkAppend(entries: readonly NewEntry[], fence: Fence | null): void {
  if (fence !== null) checkFence(fence);
  if (entries.length > MAX_BATCH_ENTRIES) {
    throw new HedgerowError(
      "too_large",
      `a batch of ${entries.length} entries, the limit is ${MAX_BATCH_ENTRIES}: split it`,
    );
  }
  const keys = new Set<string>();
  for (const entry of entries) {
    checkKey(entry.key);
    if (entry.id !== NO_APPEND_ID) checkEntryId(entry.id);
    checkValue(entry.value);
    checkName(entry.leader, "leader");
    checkConditions(entry);
    keys.add(entry.key);
  }
  if (keys.size < entries.length) {
    throw new HedgerowError(
      "invalid_argument",
      "two entries of one key in a batch: append them one after the other",
    );
  }
}

export function checkConditions({ ifVersion, fence }: Pick<NewEntry, "ifVersion" | "fence">): void {
  if (ifVersion !== undefined && ifVersion !== "") checkVersionId(ifVersion);
  if (fence !== undefined) checkFence(fence);
}

export function checkTrim(keys: readonly Trim[], keep: number, limit: number, fence: Fence | null) {
  if (fence !== null) checkFence(fence);
  for (const { key, before } of keys) {
    checkUserKey(key);
    checkWhole("a time", before, 0);
  }
  checkWhole("keep", keep, 1);
  checkCount(limit);
}

/** How many of something are asked for. */
export function checkCount(count: number): void {
  checkWhole("a limit", count, 1);
}

export function checkChanges(changes: readonly PermitChange[], fence: Fence | null): void {
  if (fence !== null) checkFence(fence);
  for (const change of changes) checkChange(change);
  if (new Set(changes.map(({ semaphore }) => semaphore)).size < changes.length) {
    throw new HedgerowError(
      "invalid_argument",
      "two changes of one semaphore in a transaction: make them one after the other",
    );
  }
}

function checkChange({ semaphore, limit, release, acquire }: PermitChange): void {
  checkName(semaphore, "semaphore name");
  checkWhole("a semaphore's limit", limit, 1);
  for (const { owner } of release) checkName(owner, "owner");
  for (const { owner, holder, incarnation, grant } of acquire) {
    checkName(owner, "owner");
    checkName(holder, "holder");
    checkName(grant, "grant");
    checkWhole("an incarnation", incarnation, 0);
  }
}

function checkWhole(what: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new HedgerowError("invalid_argument", `${what} must be a whole number from ${least} up`);
  }
}

function checkToken(token: number): void {
  if (!Number.isSafeInteger(token) || token < 0) {
    throw new HedgerowError("invalid_argument", "a token must be whole microseconds from 0 up");
  }
}
