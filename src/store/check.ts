import { HedgerowError } from "../errors.ts";
import {
  checkEntryId,
  checkKey,
  checkLockRow,
  checkName,
  checkValue,
  MAX_BATCH_ENTRIES,
} from "./limits.ts";
import { type Fence, NO_APPEND_ID, type NewEntry, type Permit, type TakeOver } from "./ports.ts";

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
    keys.add(entry.key);
  }
  if (keys.size < entries.length) {
    throw new HedgerowError(
      "invalid_argument",
      "two entries of one key in a batch: append them one after the other",
    );
  }
}

export function checkSemaphore(name: string, fence: Fence): void {
  checkName(name, "semaphore name");
  checkFence(fence);
}

export function checkSemaphoreLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new HedgerowError(
      "invalid_argument",
      "a semaphore's limit must be a whole number above 0",
    );
  }
}

export function checkPermit(permit: Permit): void {
  checkName(permit.owner, "owner");
  checkName(permit.holder, "holder");
  if (!Number.isSafeInteger(permit.incarnation) || permit.incarnation < 0) {
    throw new HedgerowError("invalid_argument", "an incarnation must be a whole number from 0 up");
  }
}

function checkToken(token: number): void {
  if (!Number.isSafeInteger(token) || token < 0) {
    throw new HedgerowError("invalid_argument", "a token must be whole microseconds from 0 up");
  }
}
