import { Operation, sleep } from "../../runtime/operation.ts";
import type { CallOptions, Runtime } from "../../runtime/runtime.ts";
import { canceled, checkStart, DEFAULT_TIMEOUT_MS, storeClosed } from "../calls.ts";
import type { CommitRequest, Mutation, Row, Statement } from "./api.ts";
import type { SpannerClient } from "./client.ts";
import {
  Grpc,
  grpcCode,
  isSessionGone,
  isVague,
  noAnswer,
  spannerError,
  unknownOutcome,
} from "./errors.ts";
import { Sessions } from "./sessions.ts";
import { readRows, streamRows } from "./rows.ts";
import { microsOfCommit } from "./values.ts";
import { Transaction } from "./transaction.ts";

/** Of a transaction that gave way to another one: a random pause between these, in milliseconds. */
const ABORTED_PAUSE_MS = { from: 5, to: 25 };
/** A call that surely did nothing, because the connection or the session was lost, is made again this often. */
const RECONNECTIONS = 3;

/** What a read-write transaction found, and what it writes: nothing, and it is rolled back. */
export interface Writes<T> {
  readonly mutations: readonly Mutation[];
  /** Gets the commit timestamp in microseconds; 0 where nothing was written. */
  readonly result: (commitMicros: number) => T;
}

/** How far a call has come. */
interface Progress {
  readonly operation: Operation;
  /** A commit was sent, and its answer is not there. */
  committing: boolean;
}

/**
 * One client with sessions of its own. Every call ends by its deadline, and says then whether anything
 * may have been written; `conflict` where a row to be inserted is there already, and nothing was written.
 */
export class Connection {
  readonly #sessions: Sessions;
  readonly #shutdown = new AbortController();

  constructor(
    private readonly client: SpannerClient,
    readonly database: string,
    readonly runtime: Runtime,
  ) {
    this.#sessions = new Sessions(client, database);
  }

  /** The rows of a strong read; large ones are streamed, for a plain answer ends at 10 MiB. */
  query(
    what: string,
    options: CallOptions,
    statement: Statement,
    size: "small" | "large" = "small",
  ): Promise<Row[]> {
    return this.#run(what, options, ({ operation }, session) => {
      const request = { ...statement, session };
      const call = { timeout: Math.ceil(operation.remainingMs()), retry: null };
      return size === "small"
        ? this.client.executeSql(request, call).then(([rows]) => readRows(rows))
        : streamRows(this.client.executeStreamingSql(request, call)).then(({ rows }) => rows);
    });
  }

  /** Writes without having read anything, in one round trip. */
  write(what: string, options: CallOptions, mutations: readonly Mutation[]): Promise<number> {
    return this.#run(what, options, (progress, session) =>
      this.#commit(progress, { session, singleUseTransaction: { readWrite: {} } }, mutations),
    );
  }

  /**
   * One read-write transaction: what `work` reads is unchanged when what it gives is written. `work` runs
   * again if the transaction gives way to another.
   */
  readWrite<T>(
    what: string,
    options: CallOptions,
    work: (transaction: Transaction) => Promise<Writes<T>>,
  ): Promise<T> {
    return this.#run(what, options, async (progress, session) => {
      const transaction = new Transaction(this.client, session, progress.operation);
      const { mutations, result } = await work(transaction);
      if (mutations.length > 0) {
        const begun = { session, transactionId: transaction.id };
        return result(await this.#commit(progress, begun, mutations));
      }
      await transaction.rollback();
      return result(0);
    });
  }

  /** Ends calls under way with `stopped`. */
  async close(): Promise<void> {
    if (this.#shutdown.signal.aborted) return;
    this.#shutdown.abort(storeClosed("store"));
    await this.#sessions.close();
    await this.client.close();
  }

  async #commit(
    progress: Progress,
    transaction: CommitRequest,
    mutations: readonly Mutation[],
  ): Promise<number> {
    progress.operation.check();
    progress.committing = true;
    try {
      const timeout = Math.ceil(progress.operation.remainingMs());
      const request = { ...transaction, mutations: [...mutations] };
      const [answer] = await this.client.commit(request, { timeout, retry: null });
      progress.committing = false;
      return microsOfCommit(answer.commitTimestamp);
    } catch (error) {
      progress.committing = isVague(error);
      throw error;
    }
  }

  async #run<T>(
    what: string,
    options: CallOptions,
    work: (progress: Progress, session: string) => Promise<T>,
  ): Promise<T> {
    if (this.#shutdown.signal.aborted) throw storeClosed(what);
    checkStart(what, options);
    const { clock } = this.runtime;
    using operation = new Operation(
      clock,
      what,
      options,
      DEFAULT_TIMEOUT_MS,
      this.#shutdown.signal,
    );
    const progress: Progress = { operation, committing: false };
    try {
      return await this.#attempts(progress, work);
    } catch (error) {
      if (progress.committing) throw unknownOutcome(what, this.database, error);
      if (this.#shutdown.signal.aborted) throw storeClosed(what);
      if (options.signal?.aborted) throw canceled(what, options.signal);
      if (operation.ended !== null) throw noAnswer(what, this.database, error);
      throw spannerError(what, this.database, error);
    }
  }

  async #attempts<T>(
    progress: Progress,
    work: (progress: Progress, session: string) => Promise<T>,
  ): Promise<T> {
    const { clock, random } = this.runtime;
    for (let reconnections = 0; ;) {
      try {
        return await this.#attempt(progress, work);
      } catch (error) {
        if (progress.committing || progress.operation.ended !== null) throw error;
        const aborted = grpcCode(error) === Grpc.ABORTED;
        if (!aborted && !(isReconnectable(error) && reconnections++ < RECONNECTIONS)) throw error;
        const { from, to } = ABORTED_PAUSE_MS;
        await sleep(clock, from + random.next() * (to - from), progress.operation.signal);
      }
    }
  }

  async #attempt<T>(
    progress: Progress,
    work: (progress: Progress, session: string) => Promise<T>,
  ): Promise<T> {
    const { operation } = progress;
    const session = await this.#sessions.take(operation);
    try {
      const result = await operation.race(work(progress, session));
      this.#sessions.giveBack(session);
      return result;
    } catch (error) {
      if (isSessionGone(error)) this.#sessions.forget();
      else if (isOver(error)) this.#sessions.giveBack(session);
      // Whatever it has begun ends with it, or it would block others.
      else this.#sessions.drop(session);
      throw error;
    }
  }
}

/** Spanner itself has ended the transaction. */
function isOver(error: unknown): boolean {
  const code = grpcCode(error);
  return code === Grpc.ABORTED || code === Grpc.ALREADY_EXISTS;
}

/** The next attempt may succeed: another session, another connection. */
function isReconnectable(error: unknown): boolean {
  return isSessionGone(error) || grpcCode(error) === Grpc.UNAVAILABLE;
}
