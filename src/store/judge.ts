import type { LockRow, ReadLimit, TakeOver } from "./ports.ts";

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
