import { HedgerowError } from "../../errors.ts";
import { Operation, sleep } from "../../runtime/operation.ts";
import { backoffMs, type CallOptions, type Runtime } from "../../runtime/runtime.ts";
import { canceled, checkStart, DEFAULT_TIMEOUT_MS, storeClosed } from "../calls.ts";
import type { Mutation, Row, Statement } from "./api.ts";
import { Attempt, type Writes } from "./attempt.ts";
import type { SpannerClient } from "./client.ts";
import { Grpc, grpcCode, isSessionGone, noAnswer, spannerError, unknownOutcome } from "./errors.ts";
import { type Lent, LiveClient } from "./live-client.ts";
import { readRows, streamRows } from "./rows.ts";
import { rpc } from "./rpc.ts";
import { Sessions } from "./sessions.ts";
import type { Transaction } from "./transaction.ts";

/** Before the next try of a call that did nothing, doubled each time, of which a random half is taken off. */
const PAUSE_MS = { first: 20, longest: 1_000 };
/** A call that surely did nothing, because the connection or the session was lost, is made again this often. */
const RECONNECTIONS = 3;
/** How long `close` waits for what calls have left behind. */
const CLOSE_MS = 1_000;

export interface ConnectionOptions {
  readonly client: SpannerClient;
  readonly database: string;
  readonly runtime: Runtime;
  /** Makes a client in place of one whose connection has gone silent; null: that one is kept. */
  readonly another?: ((former: SpannerClient) => Promise<SpannerClient>) | null;
  /** A read-write transaction waits until those of unknown outcome before it can no longer be committed. */
  readonly ordered?: boolean;
}

type Work<T> = (attempt: Attempt) => Promise<T>;

/**
 * One client with sessions of its own. Every call ends by its deadline, and says then whether anything
 * may have been written; `conflict` where a row to be inserted is there already, and nothing was written.
 */
export class Connection {
  readonly database: string;
  readonly runtime: Runtime;
  readonly #clients: LiveClient;
  readonly #sessions: Sessions;
  readonly #shutdown = new AbortController();
  /** Aborts once nothing can be sent any more. */
  readonly #closed = new AbortController();
  /** What ended calls have left behind: transactions to be rolled back. */
  readonly #cleanUps = new Set<Promise<void>>();
  /** Resolves once those of them whose commit was sent and not answered can no longer be committed. */
  #settled: Promise<void> = Promise.resolve();

  constructor(private readonly options: ConnectionOptions) {
    const { client, database, runtime, another = null } = options;
    this.database = database;
    this.runtime = runtime;
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
    return this.#run(what, options, async ({ operation, client, session }) => {
      const request = { ...statement, session };
      if (size === "large") {
        const stream = client.executeStreamingSql(request, rpc(operation));
        return (await streamRows(stream, operation.signal)).rows;
      }
      const [answer] = await client.executeSql(request, rpc(operation));
      return readRows(answer);
    });
  }

  /** Writes without having read anything, in one round trip; gives the commit timestamp in microseconds. */
  write(what: string, options: CallOptions, mutations: readonly Mutation[]): Promise<number> {
    return this.#run(what, options, (attempt) =>
      this.#untilAdmitted(attempt, () => attempt.write(mutations)),
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
      if (this.options.ordered === true) await attempt.operation.race(this.#settled);
      return this.#untilAdmitted(attempt, () => attempt.transact(work, this.runtime));
    });
  }

  /** Ends calls under way with `stopped`, and rolls back what they have begun. */
  async close(): Promise<void> {
    if (this.#shutdown.signal.aborted) return;
    this.#shutdown.abort(storeClosed("store"));
    const { clock } = this.runtime;
    using bound = new Operation(clock, "close", {}, CLOSE_MS);
    await bound.race(Promise.all(this.#cleanUps)).catch(() => {}); // what is left, Spanner ends by itself
    this.#closed.abort();
    await this.#sessions.close();
    await this.#clients.close();
  }

  async #run<T>(what: string, options: CallOptions, work: Work<T>): Promise<T> {
    const shutdown = this.#shutdown.signal;
    if (shutdown.aborted) throw storeClosed(what);
    checkStart(what, options);
    const { clock } = this.runtime;
    using operation = new Operation(clock, what, options, DEFAULT_TIMEOUT_MS, shutdown);
    try {
      let reconnections = 0;
      const again = (error: unknown) => isReconnectable(error) && reconnections++ < RECONNECTIONS;
      return await this.#repeat(operation, again, () => this.#attempt(operation, work));
    } catch (error) {
      const ended = error === operation.ended || HedgerowError.is(error, "timeout", "stopped");
      if (!ended) throw spannerError(what, this.database, error);
      if (shutdown.aborted) throw storeClosed(what);
      if (options.signal?.aborted) throw canceled(what, options.signal);
      throw noAnswer(what, this.database, error);
    }
  }

  /** Other transactions went first: the same again, on the same session, for which Spanner then lets it go first. */
  #untilAdmitted<T>({ operation, client }: Attempt, run: () => Promise<T>): Promise<T> {
    const again = (error: unknown) => {
      if (grpcCode(error) !== Grpc.ABORTED) return false;
      this.#clients.heard(client);
      return true;
    };
    return this.#repeat(operation, again, run);
  }

  /** Runs until it ends well, or `again` says no, or no time is left: then the last error is thrown. */
  async #repeat<T>(
    operation: Operation,
    again: (error: unknown) => boolean,
    run: () => Promise<T>,
  ): Promise<T> {
    const { clock, random } = this.runtime;
    for (let tries = 0; ; tries++) {
      try {
        return await run();
      } catch (error) {
        if (!again(error)) throw error;
        const pauseMs = backoffMs(random, tries, PAUSE_MS.first, PAUSE_MS.longest);
        if (pauseMs >= operation.remainingMs()) throw error;
        await sleep(clock, pauseMs, operation.signal);
      }
    }
  }

  async #attempt<T>(operation: Operation, work: Work<T>): Promise<T> {
    // Only then the client: while it waited for a session, another may have taken its place.
    const session = await this.#sessions.take(operation);
    const lent = await this.#takeClient(operation, session);
    const attempt = new Attempt(operation, lent.client, session);
    const working = work(attempt);
    const cleanUp = this.#cleanUp(attempt, lent, working);
    this.#cleanUps.add(cleanUp);
    void cleanUp.finally(() => this.#cleanUps.delete(cleanUp));
    try {
      return await operation.race(working);
    } catch (error) {
      if (!attempt.committing) throw error;
      this.#settled = Promise.all([this.#settled, cleanUp]).then(() => {});
      throw unknownOutcome(operation.what, this.database, error);
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
    const error = await working.then(
      () => null,
      (thrown: unknown) => thrown,
    );
    this.#clients.giveBack(lent, error);
    const { session } = attempt;
    if (isSessionGone(error)) return this.#sessions.forgetAll();
    const state = await attempt.end(error, this.#clients, this.runtime, this.#closed.signal);
    if (state === "usable") this.#sessions.giveBack(session);
    else this.#sessions.giveUp(session, state);
  }
}

/** The next attempt may succeed: another session, another connection. */
function isReconnectable(error: unknown): boolean {
  return isSessionGone(error) || grpcCode(error) === Grpc.UNAVAILABLE;
}
