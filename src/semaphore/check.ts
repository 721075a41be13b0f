import { HedgerowError } from "../errors.ts";
import { checkName } from "../store/limits.ts";

export const MAX_LIMIT = 2 ** 32 - 1;

/** Throws `invalid_argument` or `too_large`. */
export function checkSemaphore(name: string, limit: number): void {
  checkSemaphoreName(name);
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    const message = `a semaphore's limit of ${limit}: give a whole number from 1 to ${MAX_LIMIT}`;
    throw new HedgerowError("invalid_argument", message);
  }
}

/** Throws `invalid_argument` or `too_large`. */
export function checkSemaphoreName(name: string): void {
  checkName(name, "semaphore name");
  if (/\s/.test(name)) {
    const message = `semaphore name ${JSON.stringify(name)} has whitespace: take it out`;
    throw new HedgerowError("invalid_argument", message);
  }
}
