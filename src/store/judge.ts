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
