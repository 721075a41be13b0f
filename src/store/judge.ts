import type { AppendOutcome, LockRow, NewEntry, ReadLimit, TakeOver } from "./ports.ts";

/**
 * Whether a contender may take over the row that its transaction has just read. Every store decides by
 * this: only the row that the contender judged, and only once its heartbeat is old enough.
 */
export function mayTakeOver(row: LockRow | null, takeOver: TakeOver): boolean {
  if (row === null) return takeOver.expectedToken === null;
  if (row.token !== takeOver.expectedToken) return false;
  if (row.ageMs !== null && row.ageMs >= takeOver.minAgeMs) return true;
  return row.beat === takeOver.watchedBeat;
}

/** Of tokens and timestamps, in microseconds since the epoch: in the year 2255. Leaves room for those that follow. */
export const LAST_MICROS = 2 ** 53 - 2 ** 32;
/** The longest that a lock may have. */
const MAX_LEASE_MS = 86_400_000;

// What the columns of a lock's row say, where anybody may have written it.

/** 0 for none, and for one that no lock has ever had. */
export function soundToken(stored: number | null): number {
  return stored !== null && stored > 0 && stored <= LAST_MICROS ? stored : 0;
}

/** null for none, and for one that no lock can have. */
export function soundLease(storedMs: number | null): number | null {
  return storedMs !== null && storedMs > 0 && storedMs <= MAX_LEASE_MS ? storedMs : null;
}

/** null for a heartbeat from the future. */
export function soundAge(ageMs: number): number | null {
  return ageMs >= 0 ? ageMs : null;
}

/** The next token or timestamp: the wall clock, unless that stands still or was set back. */
export function rising(wallMicros: number, earlier: number): number {
  return Math.max(wallMicros, earlier + 1);
}

export interface ReadRange {
  readonly oldestFirst: boolean;
  /** Versions at most; Infinity for all. */
  readonly count: number;
}

export function readRange(limit: ReadLimit): ReadRange {
  if (limit === -2) return { oldestFirst: true, count: 1 };
  if (limit === -1) return { oldestFirst: false, count: Number.POSITIVE_INFINITY };
  return { oldestFirst: false, count: Number.isInteger(limit) && limit > 0 ? limit : 1 };
}

/** What a transaction finds of what an entry's conditions speak of. */
export interface Found {
  /** Id of the key's newest version; empty for none. */
  readonly newestId: (key: string) => string;
  /** The lock's token; null without one. */
  readonly token: (lockRow: string) => number | null;
}

/** Why an entry that is not there yet may not be written; null if it may. */
export function refusal(
  { key, ifVersion, fence }: NewEntry,
  { newestId, token }: Found,
): AppendOutcome | null {
  if (fence !== undefined && token(fence.name) !== fence.token) return { kind: "fenced" };
  if (ifVersion === undefined) return null;
  const current = newestId(key);
  return current === ifVersion ? null : { kind: "other-version", current };
}

/** The outcome for an entry whose id was there before. */
export function repeated(
  entry: NewEntry,
  stored: { readonly value: string | null; readonly timestamp: number | null },
): AppendOutcome {
  const { value, timestamp } = stored;
  if (value !== entry.value || timestamp === null) return { kind: "conflict" };
  return { kind: "written", timestamp };
}
