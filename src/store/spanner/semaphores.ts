import type { CallOptions } from "../../runtime/runtime.ts";
import { checkChanges } from "../check.ts";
import { checkName } from "../limits.ts";
import { judgeChange, semaphoreRows } from "../permit-judge.ts";
import type {
  AcquireOutcome,
  Entry,
  Fence,
  PermitChange,
  SemaphoreRows,
  SemaphoreStore,
} from "../ports.ts";
import {
  CALLER_END,
  CALLER_PREFIX,
  decodeRows,
  type FoundRows,
  semaphoreKey,
} from "../semaphore-rows.ts";
import type { Mutation, Row, Statement } from "./api.ts";
import type { Writes } from "./attempt.ts";
import type { Connection } from "./connection.ts";
import { fencedWrites } from "./fence.ts";
import type { Transaction } from "./transaction.ts";
import { COMMIT_TIMESTAMP, deleteRows, insert, key, list, text, textOf } from "./values.ts";

export class SpannerSemaphoreStore implements SemaphoreStore {
  constructor(
    private readonly connection: Connection,
    private readonly lockTable: string,
    private readonly logTable: string,
  ) {}

  async read(name: string, options: CallOptions = {}): Promise<SemaphoreRows> {
    checkName(name, "semaphore name");
    const rows = await this.connection.query("read a semaphore", options, this.#rowsOf([name]));
    return semaphoreRows(foundOf(rows)(name));
  }

  async change(
    changes: readonly PermitChange[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AcquireOutcome[][]> {
    checkChanges(changes, fence);
    return this.connection.readWrite("change permits", options, (transaction) => {
      const work = () => this.#work(transaction, changes);
      return fence === null ? work() : fencedWrites(transaction, this.lockTable, fence, work);
    });
  }

  async #work(
    transaction: Transaction,
    changes: readonly PermitChange[],
  ): Promise<Writes<AcquireOutcome[][]>> {
    const rows = await transaction.query(this.#rowsOf(changes.map(({ semaphore }) => semaphore)));
    const find = foundOf(rows);
    const writes = changes.map((change) => judgeChange(find(change.semaphore), change));
    const keys = writes.flatMap(({ remove }) => remove).map((row) => key(row.key, row.id));
    const inserts = writes.flatMap(({ insert }) => insert).map((row) => this.#insert(row));
    const removed = keys.length === 0 ? [] : [deleteRows(this.logTable, { keys })];
    const result = () => writes.map(({ outcomes }) => outcomes);
    return { mutations: [...removed, ...inserts], result };
  }

  /** Of the log it reads the semaphores' own keys, and the keys that permits have. */
  #rowsOf(names: readonly string[]): Statement {
    const columns = `SELECT key, id, value, timestamp FROM \`${this.logTable}\``;
    return {
      sql: `${columns} WHERE key IN UNNEST(@semaphores)
        UNION ALL ${columns} WHERE key >= '${CALLER_PREFIX}' AND key < '${CALLER_END}'
          AND id IN UNNEST(@semaphores)
        ORDER BY timestamp, key`,
      params: { fields: { semaphores: list(names.map((name) => text(semaphoreKey(name)))) } },
      paramTypes: { semaphores: { code: "ARRAY", arrayElementType: { code: "STRING" } } },
    };
  }

  #insert({ key: rowKey, id, value, leader }: Entry): Mutation {
    return insert(this.logTable, {
      key: text(rowKey),
      id: text(id),
      value: text(value),
      leader: text(leader),
      timestamp: COMMIT_TIMESTAMP,
    });
  }
}

/** Each semaphore's rows, among those of several. */
function foundOf(rows: readonly Row[]): (name: string) => FoundRows {
  const bySemaphore = new Map<string, Omit<Entry, "leader">[]>();
  for (const [rowKey, id, value] of rows) {
    const row = { key: textOf(rowKey) ?? "", id: textOf(id) ?? "", value: textOf(value) ?? "" };
    const semaphore = row.key.startsWith(CALLER_PREFIX) ? row.id : row.key;
    const others = bySemaphore.get(semaphore);
    if (others === undefined) bySemaphore.set(semaphore, [row]);
    else others.push(row);
  }
  return (name) => decodeRows(name, bySemaphore.get(semaphoreKey(name)) ?? []);
}
