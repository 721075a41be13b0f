import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import type { LockStore, LogStore, SemaphoreStore, Store } from "../ports.ts";
import type { Connection } from "./connection.ts";
import { checkSchema } from "./inspect.ts";
import { SpannerLockStore } from "./lock.ts";
import { SpannerLogStore } from "./log.ts";
import { SpannerSemaphoreStore } from "./semaphores.ts";

export interface SpannerStoreOptions {
  readonly lockTable: string;
  /** Empty: no log, no semaphores. */
  readonly logTable: string;
  /** The lock's alone: what the application reads and writes must not keep a renewal waiting. */
  readonly lockConnection: Connection;
  readonly connection: Connection;
}

export class SpannerStore implements Store {
  readonly lock: LockStore;
  readonly log: LogStore | null = null;
  readonly semaphores: SemaphoreStore | null = null;

  constructor(private readonly options: SpannerStoreOptions) {
    const { lockTable, logTable, lockConnection, connection } = options;
    this.lock = new SpannerLockStore(lockConnection, lockTable);
    if (logTable === "") return;
    this.log = new SpannerLogStore(connection, lockTable, logTable);
    this.semaphores = new SpannerSemaphoreStore(connection, lockTable, logTable);
  }

  async ping(options: CallOptions = {}): Promise<void> {
    // Not behind what the application asks: a node that is busy is ready.
    const { lockConnection, lockTable, logTable } = this.options;
    const lock = `(SELECT name FROM \`${lockTable}\` LIMIT 1)`;
    const log = `(SELECT key FROM \`${logTable}\` LIMIT 1)`;
    const sql = logTable === "" ? lock : `${lock} UNION ALL ${log}`;
    try {
      await lockConnection.query("ping", options, { sql });
    } catch (error) {
      // Spanner names one table that it misses; this names all, and what makes them.
      if (HedgerowError.is(error, "store_failed")) {
        await checkSchema(lockConnection, this.options, options);
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    const { lockConnection, connection } = this.options;
    await Promise.all([lockConnection.close(), connection.close()]);
  }
}
