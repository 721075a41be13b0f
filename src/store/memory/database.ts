import type { Clock } from "../../runtime/runtime.ts";
import type { Store } from "../ports.ts";
import type { LockTable } from "./lock-table.ts";
import { MemoryStore } from "./store.ts";
import { MemoryTables } from "./tables.ts";

/**
 * A database in memory, shared by all stores that `connect` gives out: for simulations and tests. Each
 * call is one synchronous section, so transactions never overlap. Time comes from `clock` alone, the
 * promises resolve on microtasks, and equal calls give equal results.
 */
export class MemoryDatabase {
  readonly #tables: MemoryTables;

  /** `clock` judges the age of heartbeats and makes tokens and timestamps. */
  constructor(clock: Clock) {
    this.#tables = new MemoryTables(clock);
  }

  /** A store of one node. `log` false: without a log table. Default true. */
  connect(options: { readonly log?: boolean } = {}): Store {
    return new MemoryStore(this.#tables, options.log ?? true);
  }

  /** The lock table, for those who come with statements of their own. */
  get locks(): LockTable {
    return this.#tables.locks;
  }

  /** Adds a row to the log table, as somebody might who keeps to no rules. */
  insertLogRow(key: string, id: string, value: string, leader: string): void {
    this.#tables.insert(key, id, value, leader);
  }

  /** Deletes a lock's row, as an operator might by hand. */
  deleteLockRow(name: string): void {
    this.locks.rows.delete(name);
  }
}
