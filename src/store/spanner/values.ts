import type { KeySet, ListValue, Mutation, MutationWrite, Timestamp, Value } from "./api.ts";

/** Becomes the transaction's own commit timestamp in a column that allows it. */
export const COMMIT_TIMESTAMP: Value = { stringValue: "spanner.commit_timestamp()" };

/** As heartbeat: the lock was given up. */
export const RELEASED: Value = { stringValue: "1970-01-01T00:00:00Z" };

export const text = (value: string): Value => ({ stringValue: value });

/** A time in microseconds since the epoch, as Spanner reads it. Never through Date alone: that counts in milliseconds. */
export function time(micros: number): Value {
  const seconds = Math.floor(micros / 1e6);
  const fraction = String(micros - seconds * 1e6).padStart(6, "0");
  return text(`${new Date(seconds * 1e3).toISOString().slice(0, 19)}.${fraction}Z`);
}

export const list = (values: Value[]): Value => ({ listValue: { values } });

/** A row's key, or the whole row of a key that has several parts. */
export const key = (...parts: string[]): ListValue => ({
  values: parts.map(text),
});

export const oneKey = (...parts: string[]): KeySet => ({ keys: [key(...parts)] });

/** The text in a column; null for NULL. */
export function textOf(value: Value | undefined): string | null {
  return value?.stringValue ?? null;
}

/** Microseconds since the epoch of a TIMESTAMP column; null for NULL. Never through Date alone: that counts in milliseconds. */
export function microsOf(value: Value | undefined): number | null {
  const [, seconds, fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(textOf(value) ?? "") ?? [];
  if (seconds === undefined) return null;
  return Date.parse(`${seconds}Z`) * 1_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

/** As `microsOf`, of a timestamp as commits return it. */
export function microsOfCommit(timestamp: Timestamp | null | undefined): number {
  return Number(timestamp?.seconds ?? 0) * 1_000_000 + Math.floor((timestamp?.nanos ?? 0) / 1_000);
}

type Columns = Readonly<Record<string, Value>>;

export function insert(table: string, columns: Columns): Mutation {
  return { insert: write(table, columns) };
}

export function insertOrUpdate(table: string, columns: Columns): Mutation {
  return { insertOrUpdate: write(table, columns) };
}

/** Of a row that is there. */
export function update(table: string, columns: Columns): Mutation {
  return { update: write(table, columns) };
}

export function deleteRows(table: string, keySet: KeySet): Mutation {
  return { delete: { table, keySet } };
}

function write(table: string, columns: Columns): MutationWrite {
  return { table, columns: Object.keys(columns), values: [{ values: Object.values(columns) }] };
}
