import type { Statement } from "bun:sqlite";
import type { CallOptions } from "../../runtime/runtime.ts";
import { checkChanges } from "../check.ts";
import { checkName } from "../limits.ts";
import { judgeChange, semaphoreRows } from "../permit-judge.ts";
import type {
  AcquireOutcome,
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
import type { Connection } from "./connection.ts";
import type { FenceCheck } from "./fence.ts";
import type { LogRows } from "./log-rows.ts";

interface Row {
  readonly key: string;
  readonly id: string;
  readonly value: string;
}

/**
 * Changes do not wait for the disk, except for permits of work that may be done on other machines: when this one's
 * power fails, it may forget who of its own processes held what, which is over with the boot.
 */
export class SqliteSemaphoreStore implements SemaphoreStore {
  readonly #rows: Statement<Row, [string]>;

  constructor(
    private readonly connection: Connection,
    private readonly rows: LogRows,
    private readonly fence: FenceCheck,
    logTable: string,
  ) {
    // One statement, so that both halves see one state of the file.
    this.#rows = connection.prepare(
      `SELECT key, id, value, timestamp FROM "${logTable}" WHERE key = ?1
       UNION ALL SELECT key, id, value, timestamp FROM "${logTable}"
         WHERE id = ?1 AND key >= '${CALLER_PREFIX}' AND key < '${CALLER_END}'
       ORDER BY timestamp`,
    );
  }

  async read(name: string, options: CallOptions = {}): Promise<SemaphoreRows> {
    checkName(name, "semaphore name");
    return this.connection.read("read a semaphore", options, () => semaphoreRows(this.#find(name)));
  }

  async change(
    changes: readonly PermitChange[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AcquireOutcome[][]> {
    checkChanges(changes, fence);
    const durable = changes.some(({ acquire }) => acquire.some(({ detached }) => detached));
    const work = () => {
      if (fence !== null) this.fence.check(fence);
      return changes.map((change) => this.#change(change));
    };
    return this.connection.write("change permits", options, work, durable);
  }

  #change(change: PermitChange): AcquireOutcome[] {
    const { outcomes, remove, insert } = judgeChange(this.#find(change.semaphore), change);
    for (const { key, id } of remove) this.rows.delete(key, id);
    for (const row of insert) this.rows.put(this.rows.nextTimestamp(), row);
    return outcomes;
  }

  #find(name: string): FoundRows {
    return decodeRows(name, this.#rows.all(semaphoreKey(name)));
  }
}
