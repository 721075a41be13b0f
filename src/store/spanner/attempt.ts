import { HedgerowError } from "../../errors.ts";
import { Operation, sleep } from "../../runtime/operation.ts";
import { backoffMs, type Runtime } from "../../runtime/runtime.ts";
import type { CommitRequest, Mutation } from "./api.ts";
import type { SpannerClient } from "./client.ts";
import { Grpc, grpcCode, isVague, leavesOpen } from "./errors.ts";
import type { LiveClient } from "./live-client.ts";
import { rpc } from "./rpc.ts";
import { Transaction } from "./transaction.ts";
import { microsOfCommit } from "./values.ts";

/** Before a commit whose answer did not come is sent again, and before a rollback is. */
const REPLAY_PAUSE_MS = { first: 20, longest: 500 };
/** For so long a rollback is tried: Spanner itself ends a transaction that was idle for 10 s where it is in the way. */
const ROLLBACK_MS = 30_000;

/** Of the session of an attempt that has ended. */
export type SessionState =
  | "usable"
  /** Nothing of it is under way: it may be deleted. */
  | "doubtful"
  /** Spanner may be at work on it. */
  | "unknown";

/** What a read-write transaction found, and what it writes: nothing, and it is rolled back. */
export interface Writes<T> {
  readonly mutations: readonly Mutation[];
  /** Gets the commit timestamp in microseconds; 0 where nothing was written. */
  readonly result: (commitMicros: number) => T;
}

/** One try of a call, on a session of its own. */
export class Attempt {
  #transaction: Transaction | null = null;
  #committing = false;

  constructor(
    readonly operation: Operation,
    readonly client: SpannerClient,
    readonly session: string,
  ) {}

  /** Whether a commit was sent and not refused: it may have taken effect, or may yet. */
  get committing(): boolean {
    return this.#committing;
  }

  /** Commits without a transaction before. Never sent again: Spanner would execute it once more. */
  write(mutations: readonly Mutation[]): Promise<number> {
    return this.#send({ singleUseTransaction: { readWrite: {} } }, mutations);
  }

  /** One transaction. After ABORTED, which ends it, there may be another one. */
  async transact<T>(
    work: (transaction: Transaction) => Promise<Writes<T>>,
    runtime: Runtime,
  ): Promise<T> {
    const transaction = new Transaction(this.client, this.session, this.operation);
    this.#transaction = transaction;
    try {
      const { mutations, result } = await work(transaction);
      if (mutations.length === 0) return result(0);
      return result(await this.#commit(transaction, mutations, runtime));
    } catch (error) {
      if (grpcCode(error) === Grpc.ABORTED) this.#transaction = null;
      throw error;
    }
  }

  /** Rolls back what the attempt has left open, until `closed`; `error` is how it ended, null if well. */
  async end(
    error: unknown,
    clients: LiveClient,
    runtime: Runtime,
    closed: AbortSignal,
  ): Promise<SessionState> {
    const transaction = this.#transaction;
    const code = grpcCode(error);
    if (code === Grpc.NOT_FOUND) return "doubtful"; // perhaps the session is of a database that was made anew
    const vague = error !== null && !(error instanceof HedgerowError) && isVague(error);
    if (transaction === null) return "usable";
    if (!transaction.begun) return vague ? "unknown" : "usable";
    if (code === Grpc.ALREADY_EXISTS) return "usable"; // Spanner itself has ended it
    if (this.#committing && error === null) return "usable";
    return (await rolledBack(transaction, clients, runtime, closed)) ? "usable" : "unknown";
  }

  /** If the answer does not come, the same commit is sent again: Spanner executes it once, and answers each time. */
  async #commit(
    { id: transactionId }: Transaction,
    mutations: readonly Mutation[],
    { clock, random }: Runtime,
  ): Promise<number> {
    for (let sent = 0; ; sent++) {
      try {
        return await this.#send({ transactionId }, mutations);
      } catch (error) {
        // That the same is refused now does not always tell what became of it before.
        const sessionGone = grpcCode(error) === Grpc.NOT_FOUND;
        if (sent > 0) this.#committing = leavesOpen(error) || sessionGone;
        if (!this.#committing || sessionGone || this.operation.ended !== null) throw error;
        const pauseMs = backoffMs(random, sent, REPLAY_PAUSE_MS.first, REPLAY_PAUSE_MS.longest);
        await sleep(clock, pauseMs, this.operation.signal);
      }
    }
  }

  async #send(transaction: CommitRequest, mutations: readonly Mutation[]): Promise<number> {
    const { operation, client, session } = this;
    const call = rpc(operation);
    this.#committing = true;
    try {
      const request = { ...transaction, session, mutations: [...mutations] };
      const [answer] = await client.commit(request, call);
      return microsOfCommit(answer.commitTimestamp);
    } catch (error) {
      this.#committing = isVague(error);
      throw error;
    }
  }
}

/** Whether the transaction can surely not be committed any more, or was. */
async function rolledBack(
  transaction: Transaction,
  clients: LiveClient,
  { clock, random }: Runtime,
  closed: AbortSignal,
): Promise<boolean> {
  using operation = new Operation(clock, "roll back", {}, ROLLBACK_MS, closed);
  for (let tries = 0; operation.ended === null; tries++) {
    try {
      // Of the newest client: the connection of the attempt's own may have gone silent.
      await clients.use(operation, (client) => transaction.rollback(client));
      return true;
    } catch (error) {
      if (!leavesOpen(error)) return true;
    }
    await sleep(clock, backoffMs(random, tries, REPLAY_PAUSE_MS.first, REPLAY_PAUSE_MS.longest));
  }
  return false;
}
