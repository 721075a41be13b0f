import { soundAge, soundToken } from "../judge.ts";
import { markerName } from "../markers.ts";
import type { LockRow } from "../ports.ts";
import type { Row, Statement } from "./api.ts";
import { microsOf, text, textOf } from "./values.ts";

/** Of markers deleted in one take-over. */
const MAX_DELETED = 1_000;

/** Asks for a lock's row, and for all that can be its markers. */
export function lockRowQuery(lockTable: string, name: string): Statement {
  const columns = `SELECT name, token, heartbeat, writer,
      TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), heartbeat, MICROSECOND),
      TIMESTAMP_DIFF(CURRENT_TIMESTAMP(), token, MICROSECOND) FROM \`${lockTable}\``;
  return {
    // Two seeks: nothing of another lock is read, and so nothing of it locked.
    sql: `${columns} WHERE name = @name UNION ALL ${columns} WHERE name >= @first AND name <= @last`,
    params: {
      fields: { name: text(name), first: text(`${name}_0`), last: text(`${name}_9~`) },
    },
  };
}

/** The lock's row among those that `lockRowQuery` gave; null if there is none. */
export function lockRow(name: string, rows: readonly Row[]): LockRow | null {
  const row = rows.find(([rowName]) => textOf(rowName) === name);
  if (row === undefined) return null;
  const [, token, heartbeat, writer, age] = row;
  const micros = soundToken(microsOf(token));
  const marker = markerName(name, micros);
  const marked = rows.some(([rowName]) => textOf(rowName) === marker);
  return {
    token: micros,
    writer: textOf(writer) ?? "",
    beat: `${textOf(token)} ${textOf(heartbeat)}${marked ? " marked" : ""}`,
    ageMs: marked ? null : ageMs(microsOf(heartbeat), textOf(age)),
    leaseMs: null,
  };
}

/** Infinity for a lock that was given up, and for a row without a heartbeat. */
function ageMs(heartbeatMicros: number | null, ageMicros: string | null): number | null {
  if (heartbeatMicros === null || heartbeatMicros <= 0) return Number.POSITIVE_INFINITY;
  return soundAge(Number(ageMicros) / 1_000);
}

/**
 * Markers among the rows that a take-over deletes: those that are two leases old, for then whoever meant to
 * insert the same has given up. Ours carry a heartbeat that tells; the Go system's do not, but are older
 * than the token that the row carries now. `keep` is the marker that the take-over itself writes.
 */
export function oldMarkers(
  name: string,
  rows: readonly Row[],
  leaseMs: number,
  keep: string,
): string[] {
  const lock = rows.find(([rowName]) => textOf(rowName) === name);
  const minMicros = 2 * leaseMs * 1_000;
  return rows
    .filter(([rowName, token, , writer, age]) => {
      const marker = textOf(rowName) ?? "";
      const isMarker =
        /^\d{1,20}$/.test(marker.slice(name.length + 1)) &&
        textOf(token) === null &&
        textOf(writer) === null;
      const markerAge = textOf(age) ?? textOf(lock?.[5]);
      return isMarker && marker !== keep && markerAge !== null && Number(markerAge) >= minMicros;
    })
    .map(([rowName]) => textOf(rowName) as string)
    .slice(0, MAX_DELETED);
}
