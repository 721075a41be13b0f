import { constants, type Database, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { HedgerowError } from "../../errors.ts";
import { sleep } from "../../runtime/operation.ts";
import { backoffMs, type CallOptions, type Runtime } from "../../runtime/runtime.ts";
import { canceled, checkStart, DEFAULT_TIMEOUT_MS, storeClosed } from "../calls.ts";
import { isBusy, type Phase, storeError } from "./errors.ts";

/** Pauses between attempts while another process writes, in milliseconds. */
const RETRY_BASE_MS = 1;
const RETRY_MAX_MS = 16;

/**
 * One connection to the file. A transaction is one synchronous piece of work, never held over an await;
 * where another process is in the way, the call waits in the event loop, not in SQLite.
 */
export class Connection {
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #rollback: Statement;
  readonly #moved = new Int32Array(2);
  #closed = false;

  constructor(
    private readonly database: Database,
    readonly path: string,
    readonly runtime: Runtime,
  ) {
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
  }

  prepare<Row, Params extends SQLQueryBindings[]>(sql: string): Statement<Row, Params> {
    return this.database.prepare<Row, Params>(sql) as Statement<Row, Params>;
  }

  /** Runs `work`, which reads with a single statement. */
  read<T>(what: string, options: CallOptions, work: () => T): Promise<T> {
    return this.#attempt(what, options, work);
  }

  /** Runs `work` as one write transaction, durable once this resolves. `work` may run again after a failure. */
  write<T>(what: string, options: CallOptions, work: () => T): Promise<T> {
    return this.#attempt(what, options, () => {
      this.#begin.run();
      let result: T;
      let phase: Phase = "statement";
      try {
        result = work();
        phase = "commit";
        this.#commit.run();
      } catch (error) {
        // SQLite itself has rolled back after some errors, as after a full disk.
        if (this.database.inTransaction) this.#rollback.run();
        throw storeError(this.path, error, phase);
      }
      return result;
    });
  }

  close(): void {
    this.#closed = true;
    this.database.close(true);
  }

  async #attempt<T>(what: string, options: CallOptions, work: () => T): Promise<T> {
    if (this.#closed) throw storeClosed(what);
    checkStart(what, options);
    const { clock, random } = this.runtime;
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const deadline = clock.now() + timeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        this.#checkPlace();
        return work();
      } catch (error) {
        if (!isBusy(error)) throw storeError(this.path, error, "statement");
      }
      const leftMs = deadline - clock.now();
      if (leftMs <= 0) throw this.#locked(what, timeoutMs);
      const pauseMs = backoffMs(random, attempt, RETRY_BASE_MS, RETRY_MAX_MS);
      await this.#pause(what, Math.min(pauseMs, leftMs), options.signal);
      if (this.#closed) throw storeClosed(what);
    }
  }

  async #pause(what: string, ms: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep(this.runtime.clock, ms, signal);
    } catch (error) {
      throw signal?.aborted ? canceled(what, signal) : error;
    }
  }

  /** Who goes on with a deleted file no longer shares anything with those who open the path anew. */
  #checkPlace(): void {
    this.database.fileControl(constants.SQLITE_FCNTL_HAS_MOVED, this.#moved);
    if (this.#moved[0] === 0) return;
    throw new HedgerowError(
      "store_failed",
      `SQLite file ${this.path} was moved or deleted: restart the node; nothing was written`,
    );
  }

  #locked(what: string, timeoutMs: number): HedgerowError {
    return new HedgerowError(
      "unavailable",
      `${what}: another process kept SQLite file ${this.path} locked for ${Math.round(timeoutMs)} ms; nothing was written`,
    );
  }
}
