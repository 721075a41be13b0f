import { fenced } from "../calls.ts";
import type { Fence } from "../ports.ts";
import type { Writes } from "./attempt.ts";
import type { Transaction } from "./transaction.ts";
import { key, microsOf, oneKey, textOf } from "./values.ts";

/**
 * Reads the column `token` of the lock's row inside of the caller's transaction, and nothing else of it:
 * renewals write only `heartbeat`, so that theirs and the writes' locks never meet.
 */
export async function readToken(
  transaction: Transaction,
  lockTable: string,
  name: string,
): Promise<number | null> {
  const [row] = await transaction.read(lockTable, oneKey(name), ["token"]);
  return row === undefined ? null : microsOf(row[0]);
}

/** As `readToken`, of several locks at once; those without a row are left out. */
export async function readTokens(
  transaction: Transaction,
  lockTable: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, number | null>> {
  const [first, ...others] = names;
  if (first === undefined) return new Map();
  if (others.length === 0)
    return new Map([[first, await readToken(transaction, lockTable, first)]]);
  const keySet = { keys: names.map((name) => key(name)) };
  const rows = await transaction.read(lockTable, keySet, ["name", "token"]);
  return new Map(rows.map(([name, token]) => [textOf(name) ?? "", microsOf(token)]));
}

/** What `work` writes, provided that the lock's token is the fence's; else nothing, and `fenced` is thrown. */
export async function fencedWrites<T>(
  transaction: Transaction,
  lockTable: string,
  fence: Fence,
  work: () => Writes<T> | Promise<Writes<T>>,
): Promise<Writes<T>> {
  if ((await readToken(transaction, lockTable, fence.name)) === fence.token) return work();
  return nothing(() => {
    throw fenced(fence.name);
  });
}

/** Writes nothing. */
export function nothing<T>(result: () => T): Writes<T> {
  return { mutations: [], result };
}
