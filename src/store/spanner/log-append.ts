import { type Found, refusal, repeated } from "../judge.ts";
import { type AppendOutcome, type Fence, NO_APPEND_ID, type NewEntry } from "../ports.ts";
import type { Mutation, MutationWrite } from "./api.ts";
import { fenced } from "../calls.ts";
import type { Writes } from "./attempt.ts";
import { nothing, readTokens } from "./fence.ts";
import { newestIds } from "./log-queries.ts";
import type { Transaction } from "./transaction.ts";
import { COMMIT_TIMESTAMP, key as keyOf, microsOf, text, textOf } from "./values.ts";

export interface LogTables {
  readonly lockTable: string;
  readonly logTable: string;
}

/** As `rowsOf` fills them. */
const COLUMNS = ["key", "id", "value", "leader", "timestamp"];

export function isConditional({ ifVersion, fence }: NewEntry): boolean {
  return ifVersion !== undefined || fence !== undefined;
}

/**
 * What an append writes, by what its transaction reads: the tokens of all locks that it depends on, then,
 * where entries have conditions on their keys, the newest versions. Entries take for granted that they are
 * not there yet, except for those `suspected` to be and those that their conditions refuse.
 */
export async function appendWrites(
  transaction: Transaction,
  tables: LogTables,
  entries: readonly NewEntry[],
  fence: Fence | null,
  suspected: readonly NewEntry[],
): Promise<Writes<AppendOutcome[]>> {
  const conditional = entries.filter(isConditional);
  const found = await readConditions(transaction, tables, conditional, fence);
  if (fence !== null && found.token(fence.name) !== fence.token) {
    return nothing(() => {
      throw fenced(fence.name);
    });
  }
  const refused = new Map<string, AppendOutcome>();
  for (const entry of conditional) {
    const outcome = refusal(entry, found);
    if (outcome !== null) refused.set(entry.key, outcome);
  }
  const inDoubt = suspected.length > 0 ? suspected : entries.filter(({ key }) => refused.has(key));
  const stored = await readStored(transaction, tables.logTable, inDoubt);
  const missing = entries.filter(({ key }) => !stored.has(key) && !refused.has(key));
  return {
    mutations: insertions(tables.logTable, missing),
    result: (timestamp) =>
      entries.map((entry): AppendOutcome => {
        const there = stored.get(entry.key);
        if (there !== undefined) return repeated(entry, there);
        return refused.get(entry.key) ?? { kind: "written", timestamp };
      }),
  };
}

/** Tokens and newest versions, each in one round trip, and in none where nothing asks for them. */
async function readConditions(
  transaction: Transaction,
  { lockTable, logTable }: LogTables,
  conditional: readonly NewEntry[],
  fence: Fence | null,
): Promise<Found> {
  const locks = new Set(fence === null ? [] : [fence.name]);
  for (const entry of conditional) if (entry.fence !== undefined) locks.add(entry.fence.name);
  const tokens = await readTokens(transaction, lockTable, [...locks]);
  const keys = conditional.filter(({ ifVersion }) => ifVersion !== undefined).map(({ key }) => key);
  const rows = keys.length === 0 ? [] : await transaction.query(newestIds(logTable, keys));
  const newest = new Map(rows.map(([key, id]) => [textOf(key), textOf(id)]));
  return {
    token: (lockRow) => tokens.get(lockRow) ?? null,
    newestId: (key) => newest.get(key) ?? "",
  };
}

interface Stored {
  readonly value: string | null;
  readonly timestamp: number | null;
}

/** What is stored under the ids of the appended entries, by key: a batch has one entry of each. */
async function readStored(
  transaction: Transaction,
  logTable: string,
  entries: readonly NewEntry[],
): Promise<ReadonlyMap<string, Stored>> {
  const keys = entries
    .filter(({ id }) => id !== NO_APPEND_ID)
    .map((entry) => keyOf(entry.key, entry.id));
  if (keys.length === 0) return new Map();
  const rows = await transaction.readLarge(logTable, { keys }, ["key", "value", "timestamp"]);
  return new Map(
    rows.map(([key, value, timestamp]) => [
      textOf(key) ?? "",
      { value: textOf(value), timestamp: microsOf(timestamp) },
    ]),
  );
}

/** As few mutations as can be: each names its columns once, for all of its rows. */
export function insertions(logTable: string, entries: readonly NewEntry[]): Mutation[] {
  const versions = entries.filter(({ id }) => id !== NO_APPEND_ID);
  const replaced = entries.filter(({ id }) => id === NO_APPEND_ID);
  const mutations: Mutation[] = [];
  if (versions.length > 0) mutations.push({ insert: rowsOf(logTable, versions) });
  if (replaced.length > 0) mutations.push({ insertOrUpdate: rowsOf(logTable, replaced) });
  return mutations;
}

function rowsOf(table: string, entries: readonly NewEntry[]): MutationWrite {
  const values = entries.map(({ key, id, value, leader }) => ({
    values: [text(key), text(id), text(value), text(leader), COMMIT_TIMESTAMP],
  }));
  return { table, columns: COLUMNS, values };
}
