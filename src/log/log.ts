import { HedgerowError, type LeaderHint } from "../errors.ts";
import { PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { Leadership } from "../lock/lease.ts";
import { type Attempt, throughLeader } from "../lock/through-leader.ts";
import type { Peers, ServedCall } from "../rpc/port.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions, Runtime } from "../runtime/runtime.ts";
import { checkEntryId, checkKey, checkUserKey, checkValue } from "../store/limits.ts";
import { type LogStore, NO_APPEND_ID, type ReadLimit, type StoredEntry } from "../store/ports.ts";
import { Committer } from "./committer.ts";

/** Default time-out of put and get, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** A leader that does not answer an append within this is asked again, or another one is. */
const ATTEMPT_TIMEOUT_MS = 3_000;
/** Between attempts: a put is done soon after there is a leader again. */
const PAUSE_MS = { first: 20, longest: 500 };

export interface Put extends CallOptions {
  readonly noAppend?: boolean | undefined;
  readonly directWrite?: boolean | undefined;
  readonly id?: string | undefined;
}

export interface LogOptions {
  /** null: no log table is configured. */
  readonly store: LogStore | null;
  readonly runtime: Runtime;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  /** Address of this node. */
  readonly self: string;
  /** Somebody should look at the lock's row. */
  readonly onDoubt: () => void;
  /** Aborts when the node stops. */
  readonly shutdown: AbortSignal;
}

/** The append-only key/value log: writes go through the leader, reads to the store. */
export class Log {
  readonly #committer: Committer | null;

  constructor(private readonly options: LogOptions) {
    const { store, leadership, runtime } = options;
    this.#committer = store && new Committer(store, leadership, runtime.clock);
  }

  async put(key: string, value: string, put: Put = {}): Promise<{ id: string; timestamp: number }> {
    const store = this.#store();
    checkUserKey(key);
    checkValue(value);
    const id = this.#entryId(put);
    const { runtime, self, shutdown } = this.options;
    using operation = new Operation(runtime.clock, "put", put, DEFAULT_TIMEOUT_MS, shutdown);
    if (put.directWrite === true) {
      const entry = { key, id, value, leader: self };
      const append = store.append([entry], null, {
        timeoutMs: operation.remainingMs(),
        signal: operation.signal,
      });
      const [outcome] = await operation.race(append);
      if (outcome?.kind === "written") return { id, timestamp: outcome.timestamp };
      throw new HedgerowError(
        "conflict",
        `put: id ${JSON.stringify(id)} exists with another value`,
      );
    }
    const timestamp = await throughLeader(
      operation,
      {
        ...this.options,
        repeatable: put.noAppend !== true,
        attempts: Infinity,
        pauseMs: PAUSE_MS,
        attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      },
      (leader, attempt) => this.#appendAt(leader, { key, value, id }, attempt, operation),
    );
    return { id, timestamp };
  }

  /** Newest first; see ReadLimit. From this node's own connection to the store. */
  async get(
    key: string,
    options: CallOptions & { readonly limit?: ReadLimit | undefined } = {},
  ): Promise<StoredEntry[]> {
    const store = this.#store();
    checkUserKey(key);
    const { limit = 0 } = options;
    if (!Number.isSafeInteger(limit)) {
      throw new HedgerowError("invalid_argument", `get: limit ${limit} is not a whole number`);
    }
    const { runtime, shutdown } = this.options;
    using operation = new Operation(runtime.clock, "get", options, DEFAULT_TIMEOUT_MS, shutdown);
    return await operation.race(store.read(key, limit, { timeoutMs: operation.remainingMs() }));
  }

  /** Serves a put that another node forwarded to this one as the leader. */
  async serveAppend(
    request: { readonly key: string; readonly value: string; readonly id: string },
    call: ServedCall,
  ): Promise<{ timestamp: number }> {
    checkKey(request.key);
    checkUserKey(request.key);
    checkValue(request.value);
    if (request.id !== NO_APPEND_ID) checkEntryId(request.id);
    const deadline = this.options.runtime.clock.now() + call.timeoutMs;
    return { timestamp: await this.#commit(request, deadline) };
  }

  async #appendAt(
    leader: LeaderHint,
    entry: { key: string; value: string; id: string },
    attempt: Attempt,
    operation: Operation,
  ): Promise<number> {
    const { self, peers } = this.options;
    if (leader.address === self) {
      return await operation.race(this.#commit(entry, operation.deadline));
    }
    const reply = await peers.unary(leader.address, PeerService.method.append, entry, attempt);
    return reply.timestamp;
  }

  /** Writes as the leader; the error of a node that does not lead says who does. */
  async #commit(
    { key, value, id }: { key: string; value: string; id: string },
    deadline: number,
  ): Promise<number> {
    const { self, directory } = this.options;
    if (this.#committer === null) throw notSupported();
    try {
      return await this.#committer.append({ key, value, id, leader: self }, deadline);
    } catch (error) {
      if (!HedgerowError.is(error, "not_leader")) throw error;
      const { leader } = directory;
      const elsewhere = leader !== null && leader.address !== self ? leader : undefined;
      throw new HedgerowError("not_leader", error.message, { leader: elsewhere, cause: error });
    }
  }

  #entryId(put: Put): string {
    if (put.noAppend === true) {
      if (put.id === undefined || put.id === NO_APPEND_ID) return NO_APPEND_ID;
      throw new HedgerowError(
        "invalid_argument",
        "put: noAppend and id exclude each other: drop one",
      );
    }
    if (put.id !== undefined) checkEntryId(put.id);
    return put.id ?? this.options.runtime.random.id();
  }

  #store(): LogStore {
    if (this.options.store === null) throw notSupported();
    return this.options.store;
  }
}

function notSupported(): HedgerowError {
  return new HedgerowError(
    "not_supported",
    "not supported: no log table is configured (--log-table)",
  );
}
