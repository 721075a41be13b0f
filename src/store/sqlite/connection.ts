import { constants, type Database, type SQLQueryBindings, type Statement } from "bun:sqlite";
import { HedgerowError } from "../../errors.ts";
import { sleep } from "../../runtime/operation.ts";
import { backoffMs, type CallOptions, type Runtime } from "../../runtime/runtime.ts";
import { canceled, checkStart, DEFAULT_TIMEOUT_MS, storeClosed } from "../calls.ts";
import { isBusy, type Phase, storeError } from "./errors.ts";

/** The longest pause between two attempts while another process writes; a random half is taken off. */
const PAUSE_MS = 2;

/**
 * One connection to the file. A transaction is one synchronous piece of work, never held over an await;
 * where another process is in the way, the call waits in the event loop, not in SQLite.
 */
export class Connection {
  readonly #begin: Statement;
  readonly #commit: Statement;
  readonly #rollback: Statement;
  readonly #moved = new Int32Array(2);
  /** While another process writes: the pause that all waiting writes share, so that one of them asks again. */
  #pause: Promise<void> | null = null;
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
    return this.#attempt("read", what, options, work);
  }

  /**
   * Runs `work` as one write transaction, durable once this resolves. One that is not durable need not outlive
   * the machine: all processes see it, and the next durable one puts it on the disk. `work` may run again after a
   * failure. Takes a turn of the event loop: who writes again and again keeps neither timers nor other processes out.
   */
  async write<T>(what: string, options: CallOptions, work: () => T, durable = true): Promise<T> {
    const transaction = () => (durable ? this.#transaction(work) : this.#inMemory(work));
    const result = await this.#attempt("write", what, options, transaction);
    await new Promise<void>((resolve) => this.runtime.clock.schedule(0, resolve));
    return result;
  }

  close(): void {
    this.#closed = true;
    this.database.close(true);
  }

  #inMemory<T>(work: () => T): T {
    this.database.run("PRAGMA synchronous = NORMAL");
    try {
      return this.#transaction(work);
    } finally {
      this.database.run("PRAGMA synchronous = FULL");
    }
  }

  #transaction<T>(work: () => T): T {
    this.#begin.run();
    let phase: Phase = "statement";
    try {
      const result = work();
      phase = "commit";
      this.#commit.run();
      return result;
    } catch (error) {
      // SQLite itself has rolled back after some errors, as after a full disk.
      if (this.database.inTransaction) this.#rollback.run();
      throw storeError(this.path, error, phase);
    }
  }

  /** Does `work`, again and again while another process is in the way. */
  async #attempt<T>(
    kind: "read" | "write",
    what: string,
    options: CallOptions,
    work: () => T,
  ): Promise<T> {
    checkStart(what, options);
    const { clock, random } = this.runtime;
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const deadline = clock.now() + timeoutMs;
    for (;;) {
      if (this.#closed) throw storeClosed(what);
      if (options.signal?.aborted) throw canceled(what, options.signal);
      if (kind === "read" || this.#pause === null) {
        try {
          this.#checkPlace();
          return work();
        } catch (error) {
          if (!isBusy(error)) throw storeError(this.path, error, "statement");
        }
        this.#pause ??= sleep(clock, backoffMs(random, 0, PAUSE_MS, PAUSE_MS)).then(() => {
          this.#pause = null;
        });
      }
      if (clock.now() >= deadline) throw this.#locked(what, timeoutMs);
      await this.#pause;
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
