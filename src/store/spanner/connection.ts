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
import { type Lent, LiveClient } from "./live-client.ts";
import { Sessions } from "./sessions.ts";
import { readRows, streamRows } from "./rows.ts";
import { microsOfCommit } from "./values.ts";
import { Transaction } from "./transaction.ts";

/** Before the next attempt, as of a transaction that gave way to another: a random pause between these. */
const RETRY_PAUSE_MS = { from: 5, to: 25 };
/** A call that surely did nothing, because the connection or the session was lost, is made again this often. */
const RECONNECTIONS = 3;

/** What a read-write transaction found, and what it writes: nothing, and it is rolled back. */
export interface Writes<T> {
  readonly mutations: readonly Mutation[];
  /** Gets the commit timestamp in microseconds; 0 where nothing was written. */
  readonly result: (commitMicros: number) => T;
}

/** One try of a call, on a session of its own. */
interface Attempt {
  readonly operation: Operation;
  readonly client: SpannerClient;
  readonly session: string;
  /** Spanner may hold it open. */
  transaction: Transaction | null;
  /** A commit was sent, and its answer is not there. */
  committing: boolean;
}

type Work<T> = (attempt: Attempt) => Promise<T>;

/**
 * One client with sessions of its own. Every call ends by its deadline, and says then whether anything
 * may have been written; `conflict` where a row to be inserted is there already, and nothing was written.
 */
export class Connection {
  readonly #clients: LiveClient;
  readonly #sessions: Sessions;
  readonly #shutdown = new AbortController();

  constructor(
    client: SpannerClient,
    readonly database: string,
    readonly runtime: Runtime,
    /** Makes a client in place of one whose connection has gone silent; null: that one is kept. */
    another: ((former: SpannerClient) => Promise<SpannerClient>) | null = null,
  ) {
    this.#clients = new LiveClient(client, another, database, runtime.clock);
    this.#sessions = new Sessions(this.#clients, database);
  }

  /** The rows of a strong read; large ones are streamed, for a plain answer ends at 10 MiB. */
  query(
    what: string,
    options: CallOptions,
    statement: Statement,
    size: "small" | "large" = "small",
  ): Promise<Row[]> {
    return this.#run(what, options, ({ operation, client, session }) => {
      const request = { ...statement, session };
      const call = { timeout: Math.ceil(operation.remainingMs()), retry: null };
      return size === "small"
        ? client.executeSql(request, call).then(([rows]) => readRows(rows))
        : streamRows(client.executeStreamingSql(request, call)).then(({ rows }) => rows);
    });
  }

  /** Writes without having read anything, in one round trip; gives the commit timestamp in microseconds. */
  write(what: string, options: CallOptions, mutations: readonly Mutation[]): Promise<number> {
    return this.#run(what, options, (attempt) =>
      this.#commit(attempt, { singleUseTransaction: { readWrite: {} } }, mutations),
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
    return this.#run(what, options, async (attempt) => {
      const { client, session, operation } = attempt;
      const transaction = new Transaction(client, session, operation);
      attempt.transaction = transaction;
      const { mutations, result } = await work(transaction);
      if (mutations.length === 0) return result(0);
      const { id: transactionId } = transaction;
      const commitMicros = await this.#commit(attempt, { transactionId }, mutations);
      attempt.transaction = null;
      return result(commitMicros);
    });
  }

  /** Ends calls under way with `stopped`. */
  async close(): Promise<void> {
    if (this.#shutdown.signal.aborted) return;
    this.#shutdown.abort(storeClosed("store"));
    await this.#sessions.close();
    await this.#clients.close();
  }

  async #commit(
    attempt: Attempt,
    transaction: CommitRequest,
    mutations: readonly Mutation[],
  ): Promise<number> {
    const { operation, client, session } = attempt;
    operation.check();
    attempt.committing = true;
    try {
      const timeout = Math.ceil(operation.remainingMs());
      const request = { ...transaction, session, mutations: [...mutations] };
      const [answer] = await client.commit(request, { timeout, retry: null });
      attempt.committing = false;
      return microsOfCommit(answer.commitTimestamp);
    } catch (error) {
      attempt.committing = isVague(error);
      throw error;
    }
  }

  async #run<T>(what: string, options: CallOptions, work: Work<T>): Promise<T> {
    const shutdown = this.#shutdown.signal;
    if (shutdown.aborted) throw storeClosed(what);
    checkStart(what, options);
    const { clock } = this.runtime;
    using operation = new Operation(clock, what, options, DEFAULT_TIMEOUT_MS, shutdown);
    try {
      return await this.#attempts(operation, work);
    } catch (error) {
      if (error !== operation.ended) throw spannerError(what, this.database, error);
      if (shutdown.aborted) throw storeClosed(what);
      if (options.signal?.aborted) throw canceled(what, options.signal);
      throw noAnswer(what, this.database, error);
    }
  }

  async #attempts<T>(operation: Operation, work: Work<T>): Promise<T> {
    const { clock, random } = this.runtime;
    for (let reconnections = 0; ;) {
      try {
        return await this.#attempt(operation, work);
      } catch (error) {
        const aborted = grpcCode(error) === Grpc.ABORTED;
        if (!aborted && !(isReconnectable(error) && reconnections++ < RECONNECTIONS)) throw error;
        const { from, to } = RETRY_PAUSE_MS;
        await sleep(clock, from + random.next() * (to - from), operation.signal);
      }
    }
  }

  async #attempt<T>(operation: Operation, work: Work<T>): Promise<T> {
    // Only then the client: while it waited for a session, another may have taken its place.
    const session = await this.#sessions.take(operation);
    const lent = await this.#takeClient(operation, session);
    const { client } = lent;
    const attempt: Attempt = { operation, client, session, transaction: null, committing: false };
    const working = work(attempt);
    void this.#cleanUp(attempt, lent, working);
    try {
      return await operation.race(working);
    } catch (error) {
      if (attempt.committing) throw unknownOutcome(operation.what, this.database, error);
      throw error;
    }
  }

  async #takeClient(operation: Operation, session: string): Promise<Lent> {
    try {
      return await this.#clients.take(operation);
    } catch (error) {
      this.#sessions.giveBack(session);
      throw error;
    }
  }

  /** Once nothing of an attempt is under way any more: ends its transaction, which would block others. */
  async #cleanUp(attempt: Attempt, lent: Lent, working: Promise<unknown>): Promise<void> {
    let error: unknown = await working.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    const { transaction } = attempt;
    if (transaction?.begun === true && !isOver(error)) error = await transaction.rollback();
    this.#clients.giveBack(lent, error);
    // Also of a database that was made anew, where old sessions find no table.
    if (grpcCode(error) === Grpc.NOT_FOUND) this.#sessions.forgetAll();
    else if (transaction !== null && error !== null && isVague(error)) this.#sessions.giveUp();
    else this.#sessions.giveBack(attempt.session);
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
