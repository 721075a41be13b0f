import type { LogCursor, Trim } from "../ports.ts";
import { NO_APPEND_ID } from "../ports.ts";
import type { Statement } from "./api.ts";
import { list, text, time } from "./values.ts";

// What is asked of the log table in SQL. Rows without a timestamp count nowhere.

const INT64 = { code: "INT64" } as const;
const TIMESTAMP = { code: "TIMESTAMP" } as const;
const STRINGS = { code: "ARRAY", arrayElementType: { code: "STRING" } } as const;
const TIMESTAMPS = { code: "ARRAY", arrayElementType: TIMESTAMP } as const;

/** Columns of an entry, beside its key. */
const ENTRY = "id, value, leader, timestamp";

/** The first `count` versions of a key in this order; null for all. */
export function versions(
  table: string,
  key: string,
  order: "oldest first" | "newest first",
  count: number | null,
): Statement {
  const by = order === "oldest first" ? "timestamp, id" : "timestamp DESC, id DESC";
  const all = count === null;
  return {
    sql: `SELECT ${ENTRY} FROM \`${table}\`
      WHERE key = @key AND timestamp IS NOT NULL ORDER BY ${by}${all ? "" : " LIMIT @count"}`,
    params: { fields: { key: text(key), ...(all ? {} : { count: text(`${count}`) }) } },
    paramTypes: all ? {} : { count: INT64 },
  };
}

/** The first `count` versions of a key after a place. What is finer than a microsecond counts for nothing. */
export function versionsAfter(
  table: string,
  key: string,
  after: LogCursor,
  count: number,
): Statement {
  return {
    sql: `SELECT ${ENTRY} FROM \`${table}\`
      WHERE key = @key AND timestamp >= @after AND (timestamp >= @next OR id > @id)
      ORDER BY timestamp, id LIMIT @count`,
    params: {
      fields: {
        key: text(key),
        id: text(after.id),
        after: time(after.timestamp),
        next: time(after.timestamp + 1),
        count: text(`${count}`),
      },
    },
    paramTypes: { after: TIMESTAMP, next: TIMESTAMP, count: INT64 },
  };
}

/** Id of each key's newest version; NULL for none. */
export function newestIds(table: string, keys: readonly string[]): Statement {
  return {
    sql: `SELECT k, ARRAY(SELECT id FROM \`${table}\` WHERE key = k AND timestamp IS NOT NULL
        ORDER BY timestamp DESC, id DESC LIMIT 1)[SAFE_OFFSET(0)]
      FROM UNNEST(@keys) AS k`,
    params: { fields: { keys: list(keys.map(text)) } },
    paramTypes: { keys: STRINGS },
  };
}

/** The first `count` keys after one, with the times of their first and last versions. */
export function keysAfter(table: string, after: string, count: number): Statement {
  return {
    sql: `SELECT key, MIN(timestamp), MAX(timestamp) FROM \`${table}\`
      WHERE key > @after AND timestamp IS NOT NULL GROUP BY key ORDER BY key LIMIT @count`,
    params: { fields: { after: text(after), count: text(`${count}`) } },
    paramTypes: { count: INT64 },
  };
}

/** Key and id of what may go, each key's oldest first. */
export function oldVersions(
  table: string,
  keys: readonly Trim[],
  keep: number,
  count: number,
): Statement {
  return {
    sql: `SELECT old.key, old.id FROM (
        SELECT k, before, ARRAY(SELECT timestamp FROM \`${table}\`
          WHERE key = k AND timestamp IS NOT NULL
          ORDER BY timestamp DESC LIMIT 1 OFFSET @newer)[SAFE_OFFSET(0)] AS bound
        FROM UNNEST(@keys) AS k WITH OFFSET i JOIN UNNEST(@befores) AS before WITH OFFSET j ON i = j
      ) AS kept JOIN \`${table}\` AS old ON old.key = kept.k
      WHERE old.timestamp < kept.bound AND old.timestamp < kept.before AND old.id != @replaced
      ORDER BY old.key, old.timestamp, old.id LIMIT @count`,
    params: {
      fields: {
        keys: list(keys.map(({ key }) => text(key))),
        befores: list(keys.map(({ before }) => time(before))),
        newer: text(`${keep - 1}`),
        replaced: text(NO_APPEND_ID),
        count: text(`${count}`),
      },
    },
    paramTypes: { keys: STRINGS, befores: TIMESTAMPS, newer: INT64, count: INT64 },
  };
}
