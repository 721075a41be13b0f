/**
 * Markers: rows of the lock table that settle who may take a lock over, as the Go system has them
 * (spindle). A contender inserts the one that is named after the token that it judged; of two that judged
 * the same token, one finds it there.
 */

/**
 * Decimal XXH64 (seed 0) of the token as the Go system writes it; of the empty text for no row (null), of
 * Go's zero time for a row without a token (0).
 */
export function markerSuffix(tokenMicros: number | null): string {
  return Bun.hash.xxHash64(tokenMicros === null ? "" : goTime(tokenMicros), 0n).toString();
}

/** Name of the marker that goes before the take-over of a row whose token is `tokenMicros`; null for no row. */
export function markerName(row: string, tokenMicros: number | null): string {
  return `${row}_${markerSuffix(tokenMicros)}`;
}

/** UTC as Go's RFC3339Nano: the fraction without trailing zeros, and without a dot if it is zero. */
function goTime(micros: number): string {
  if (micros === 0) return "0001-01-01T00:00:00Z";
  const seconds = Math.floor(micros / 1e6);
  const fraction = String(micros - seconds * 1e6).padStart(6, "0");
  const whole = new Date(seconds * 1e3).toISOString().slice(0, 19);
  return `${whole}.${fraction}`.replace(/\.?0+$/, "") + "Z";
}
