import type { Permit } from "./ports.ts";

/**
 * How semaphores lie in the log table, the same on every store and as the Go system has it (parity.md):
 *
 *     key                          id                        value
 *     __hedge/semaphore/{name}     limit={k}                 creator, later delete-on-empty
 *     __caller={owner}             __hedge/semaphore/{name}  who holds the permit
 */
const SEMAPHORE_PREFIX = "__hedge/semaphore/";
const LIMIT_PREFIX = "limit=";
/** Keys of permits begin with this. */
export const CALLER_PREFIX = "__caller=";
/** The first text after all that begin with CALLER_PREFIX. */
export const CALLER_END = "__caller>";

/** Value of a semaphore's own row once a permit was taken: it goes with the last one. */
export const DELETE_ON_EMPTY = "delete-on-empty";

/** Key of a semaphore's own row, and id of its permits' rows. */
export const semaphoreKey = (name: string): string => SEMAPHORE_PREFIX + name;
export const limitId = (limit: number): string => LIMIT_PREFIX + limit;
export const permitKey = (owner: string): string => CALLER_PREFIX + owner;

/** The limit that the id of a semaphore's own row tells, or null if it is another kind of id. */
export function limitOf(id: string): number | null {
  if (!id.startsWith(LIMIT_PREFIX)) return null;
  const limit = Number(id.slice(LIMIT_PREFIX.length));
  return Number.isSafeInteger(limit) && limit > 0 ? limit : null;
}

export function encodePermit(permit: Permit): string {
  const { owner, holder, incarnation } = permit;
  return JSON.stringify({ owner, holder, incarnation });
}

/** A permit's row. The Go system writes the holder alone: then the key tells the owner, and the incarnation is 0. */
export function decodePermit(key: string, value: string): Permit {
  const owner = key.slice(CALLER_PREFIX.length);
  const decoded = parseObject(value);
  if (decoded === null) return { owner, holder: value, incarnation: 0 };
  const { holder, incarnation } = decoded;
  return {
    owner,
    holder: typeof holder === "string" ? holder : value,
    incarnation: typeof incarnation === "number" ? incarnation : 0,
  };
}

function parseObject(text: string): Record<string, unknown> | null {
  if (!text.startsWith("{")) return null;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null; // not ours: a holder's name that begins with a brace
  }
}
