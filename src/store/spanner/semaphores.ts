import type { CallOptions } from "../../runtime/runtime.ts";
import { checkChange } from "../check.ts";
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
import type { Mutation, Row } from "./api.ts";
import type { Writes } from "./attempt.ts";
import type { Connection } from "./connection.ts";
import { fencedWrites, nothing } from "./fence.ts";
import type { Transaction } from "./transaction.ts";
import { COMMIT_TIMESTAMP, deleteRows, insert, key, text, textOf } from "./values.ts";

export class SpannerSemaphoreStore implements SemaphoreStore {
  constructor(
    private readonly connection: Connection,
    private readonly lockTable: string,
    private readonly logTable: string,
  ) {}

  async read(name: string, options: CallOptions = {}): Promise<SemaphoreRows> {
    checkName(name, "semaphore name");
    const rows = await this.connection.query("read a semaphore", options, this.#rowsOf(name));
    return semaphoreRows(found(name, rows));
  }

  async change(
    name: string,
    change: PermitChange,
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AcquireOutcome[]> {
    checkChange(name, change, fence);
    return this.connection.readWrite("change permits", options, (transaction) => {
      const work = () => this.#work(transaction, name, change);
      return fence === null ? work() : fencedWrites(transaction, this.lockTable, fence, work);
    });
  }

  async #work(
    transaction: Transaction,
    name: string,
    change: PermitChange,
  ): Promise<Writes<AcquireOutcome[]>> {
    const rows = await transaction.query(this.#rowsOf(name));
    const { outcomes, remove, insert } = judgeChange(name, found(name, rows), change);
    if (remove.length + insert.length === 0) return nothing(() => outcomes);
    const keys = remove.map((row) => key(row.key, row.id));
    const removed = keys.length === 0 ? [] : [deleteRows(this.logTable, { keys })];
    const mutations = [...removed, ...insert.map((row) => this.#insert(row))];
    return { mutations, result: () => outcomes };
  }

  /** Of the log it reads the semaphore's own key, and the keys that permits have. */
  #rowsOf(name: string) {
    const columns = `SELECT key, id, value, timestamp FROM \`${this.logTable}\``;
    return {
      sql: `${columns} WHERE key = @semaphore
        UNION ALL ${columns}
          WHERE key >= '${CALLER_PREFIX}' AND key < '${CALLER_END}' AND id = @semaphore
        ORDER BY timestamp, key`,
      params: { fields: { semaphore: text(semaphoreKey(name)) } },
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

function found(name: string, rows: readonly Row[]): FoundRows {
  const entries = rows.map(([rowKey, id, value]) => ({
    key: textOf(rowKey) ?? "",
    id: textOf(id) ?? "",
    value: textOf(value) ?? "",
  }));
  return decodeRows(name, entries);
}
