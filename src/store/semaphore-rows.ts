import { isName } from "./limits.ts";
import type { Entry, Permit } from "./ports.ts";

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

/** Value of a semaphore's own row: it goes with the last permit. */
const DELETE_ON_EMPTY = "delete-on-empty";

/** Key of a semaphore's own row, and id of its permits' rows. */
export const semaphoreKey = (name: string): string => SEMAPHORE_PREFIX + name;

/** What tells a row from all others. */
export type RowKey = Pick<Entry, "key" | "id">;

export const permitRowKey = (name: string, owner: string): RowKey => ({
  key: CALLER_PREFIX + owner,
  id: semaphoreKey(name),
});

export function limitRow(name: string, limit: number, leader: string): Entry {
  const id = LIMIT_PREFIX + limit;
  return { key: semaphoreKey(name), id, value: DELETE_ON_EMPTY, leader };
}

export function permitRow(name: string, permit: Permit): Entry {
  const { owner, holder, incarnation, grant, detached } = permit;
  const value = JSON.stringify({
    owner,
    holder,
    incarnation,
    grant,
    ...(detached && { detached }),
  });
  return { ...permitRowKey(name, owner), value, leader: holder };
}

/** All rows of a semaphore, as a store reads them: its own, then its permits'. */
export interface FoundRows {
  readonly limit: FoundLimit | null;
  readonly permits: readonly Permit[];
}

export interface FoundLimit {
  readonly limit: number;
  readonly row: RowKey;
  /** Whether it goes with the last permit; the Go system's stay until one more than none were taken. */
  readonly deleteOnEmpty: boolean;
}

/** From the rows with the semaphore's key, and those with it as their id, oldest first. */
export function decodeRows(name: string, rows: Iterable<Omit<Entry, "leader">>): FoundRows {
  const own = semaphoreKey(name);
  const permits: Permit[] = [];
  let found: FoundLimit | null = null;
  for (const { key, id, value } of rows) {
    if (key.startsWith(CALLER_PREFIX) && id === own) {
      const permit = decodePermit(key, value);
      // Of an owner that nobody can have it is no permit, and could not be given back.
      if (isName(permit.owner)) permits.push(permit);
    } else if (key === own) {
      const limit = limitOf(id);
      if (limit !== null)
        found ??= { limit, row: { key, id }, deleteOnEmpty: value === DELETE_ON_EMPTY };
    }
  }
  return { limit: found, permits };
}

/** The limit that the id of a semaphore's own row tells, or null if it is another kind of id. */
function limitOf(id: string): number | null {
  if (!id.startsWith(LIMIT_PREFIX)) return null;
  const limit = Number(id.slice(LIMIT_PREFIX.length));
  return Number.isSafeInteger(limit) && limit > 0 ? limit : null;
}

/** The Go system writes the holder alone: then the key tells the owner, and incarnation and grant are none. */
export function decodePermit(key: string, value: string): Permit {
  const owner = key.slice(CALLER_PREFIX.length);
  const { holder, incarnation, grant, detached } = parseObject(value);
  return {
    owner,
    holder: typeof holder === "string" ? holder : value,
    incarnation: Number.isSafeInteger(incarnation) ? Math.max(0, incarnation as number) : 0,
    grant: typeof grant === "string" ? grant : "",
    detached: detached === true,
  };
}

function parseObject(text: string): Record<string, unknown> {
  if (!text.startsWith("{")) return {};
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {}; // not ours: a holder's name that begins with a brace
  }
}
