import type { Statement } from "bun:sqlite";
import type { CallOptions } from "../../runtime/runtime.ts";
import type { Store } from "../ports.ts";
import type { Connection } from "./connection.ts";
import { FenceCheck } from "./fence.ts";
import { SqliteLockStore } from "./lock.ts";
import { SqliteLogStore } from "./log.ts";
import { LogRows } from "./log-rows.ts";
import type { TableNames } from "./schema.ts";
import { SqliteSemaphoreStore } from "./semaphores.ts";

export class SqliteStore implements Store {
  readonly lock: SqliteLockStore;
  readonly log: SqliteLogStore | null = null;
  readonly semaphores: SqliteSemaphoreStore | null = null;
  readonly #anyLock: Statement;

  constructor(
    private readonly connection: Connection,
    { lockTable, logTable }: TableNames,
  ) {
    this.lock = new SqliteLockStore(connection, lockTable);
    this.#anyLock = connection.prepare(`SELECT name FROM "${lockTable}" LIMIT 1`);
    if (logTable === "") return;
    const fence = new FenceCheck(connection, lockTable);
    const rows = new LogRows(connection, logTable);
    this.log = new SqliteLogStore(connection, rows, fence, logTable);
    this.semaphores = new SqliteSemaphoreStore(connection, rows, fence, logTable);
  }

  async ping(options: CallOptions = {}): Promise<void> {
    await this.connection.read("ping", options, () => this.#anyLock.get());
  }

  async close(): Promise<void> {
    this.connection.close();
  }
}
