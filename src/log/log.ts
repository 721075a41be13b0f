import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError, type LeaderHint } from "../errors.ts";
import type {
  AwaitCommitsRequest,
  AwaitCommitsResponseSchema,
} from "../gen/hedgerow/v1/claims_pb.ts";
import { type AppendRequest, PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import { type Attempt, throughLeader } from "../lock/through-leader.ts";
import type { ServedCall } from "../rpc/port.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions } from "../runtime/runtime.ts";
import { checkConditions } from "../store/check.ts";
import { checkEntryId, checkUserKey, checkValue } from "../store/limits.ts";
import { type LogStore, NO_APPEND_ID, type ReadLimit, type StoredEntry } from "../store/ports.ts";
import { Committer } from "./committer.ts";
import {
  conditionsOf,
  entryFromWire,
  entryToWire,
  type PutConditions,
  type PutEntry,
  refusalError,
  unknownOutcome,
} from "./conditions.ts";
import { History } from "./history.ts";
import type { LogOptions } from "./options.ts";

/** Default time-out of put and get, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 10_000;
/** A leader that does not answer an append within this is asked again, or another one is. */
const ATTEMPT_TIMEOUT_MS = 3_000;
/** Between attempts: a put is done soon after there is a leader again. */
const PAUSE_MS = { first: 20, longest: 500 };

export interface Put extends CallOptions, PutConditions {
  readonly noAppend?: boolean | undefined;
  readonly directWrite?: boolean | undefined;
  readonly id?: string | undefined;
}

/** The append-only key/value log: writes go through the leader, reads to the store. */
export class Log {
  readonly #parts: { readonly committer: Committer; readonly history: History } | null;

  constructor(private readonly options: LogOptions) {
    const { store, leadership, runtime, shutdown } = options;
    if (store === null) {
      this.#parts = null;
      return;
    }
    const history = new History({ ...options, store });
    const committer = new Committer(store, leadership, runtime.clock, history.onCommit, shutdown);
    this.#parts = { committer, history };
  }

  async put(key: string, value: string, put: Put = {}): Promise<{ id: string; timestamp: number }> {
    const store = this.#store();
    checkUserKey(key);
    checkValue(value);
    const id = this.#entryId(put);
    const conditions = conditionsOf(put);
    const entry = conditions === null ? { key, value, id } : { key, value, id, ...conditions };
    const { runtime, shutdown } = this.options;
    using operation = new Operation(runtime.clock, "put", put, DEFAULT_TIMEOUT_MS, shutdown);
    if (put.directWrite === true) {
      return { id, timestamp: await this.#writeDirectly(store, entry, operation) };
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
      (leader, attempt) => this.#appendAt(leader, entry, attempt, operation).catch(fencedIsFinal),
    );
    if (timestamp instanceof HedgerowError) throw timestamp;
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

  /** How many watch keys at this node, and how many puts wait for it to write them. */
  get figures(): { readonly watching: number; readonly waiting: number } {
    const { history, committer } = this.#parts ?? {};
    return { watching: history?.watches.size ?? 0, waiting: committer?.waiting ?? 0 };
  }

  /** See HedgerowNode.watch. */
  watch(
    key: string,
    { fromId, signal }: { fromId?: string | undefined; signal?: AbortSignal | undefined } = {},
  ): AsyncIterableIterator<StoredEntry> {
    if (this.#parts === null) throw notSupported();
    return this.#parts.history.watches.watch(key, fromId, signal);
  }

  /** Serves a put that another node forwarded to this one as the leader. */
  async serveAppend(request: AppendRequest, call: ServedCall): Promise<{ timestamp: number }> {
    const entry = entryFromWire(request);
    checkUserKey(entry.key);
    checkValue(entry.value);
    if (entry.id !== NO_APPEND_ID) checkEntryId(entry.id);
    checkConditions(entry);
    const deadline = this.options.runtime.clock.now() + call.timeoutMs;
    return { timestamp: await this.#commit(entry, deadline) };
  }

  /** Tells a node that watches keys which of them were written. */
  async serveAwaitCommits(
    request: AwaitCommitsRequest,
    call: ServedCall,
  ): Promise<MessageInitShape<typeof AwaitCommitsResponseSchema>> {
    if (this.#parts === null) throw notSupported();
    return await this.#parts.history.serveAwaitCommits(request, call);
  }

  async #writeDirectly(store: LogStore, entry: PutEntry, operation: Operation): Promise<number> {
    const written = { ...entry, leader: this.options.self };
    const limits = { timeoutMs: operation.remainingMs(), signal: operation.signal };
    const [outcome] = await operation
      .race(store.append([written], null, limits))
      .catch((error: unknown) => {
        if (operation.ended?.code === "stopped") throw unknownOutcome();
        throw error;
      });
    if (outcome === undefined) throw new HedgerowError("internal", "an append gave no outcome");
    if (outcome.kind !== "written") throw refusalError(written, outcome, false);
    this.#parts?.history.watches.written(entry.key);
    return outcome.timestamp;
  }

  async #appendAt(
    leader: LeaderHint,
    entry: PutEntry,
    attempt: Attempt,
    operation: Operation,
  ): Promise<number> {
    const { self, peers } = this.options;
    if (leader.address === self) {
      const commit = this.#commit(entry, operation.deadline);
      return await operation.race(commit).catch((error: unknown) => {
        // The committer ends what it has, and tells what was surely not sent.
        if (operation.ended?.code === "stopped") return commit;
        throw error;
      });
    }
    const { append } = PeerService.method;
    const reply = await peers.unary(leader.address, append, entryToWire(entry), attempt);
    return reply.timestamp;
  }

  /** Writes as the leader; the error of a node that does not lead says who does. */
  async #commit(entry: PutEntry, deadline: number): Promise<number> {
    const { self, directory } = this.options;
    if (this.#parts === null) throw notSupported();
    try {
      return await this.#parts.committer.append({ ...entry, leader: self }, deadline);
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

/**
 * `fenced` comes of the entry's own condition alone, and tells what became of it: no other leader would
 * write it. (Of its own token a leader says that it does not lead.)
 */
function fencedIsFinal(error: unknown): HedgerowError {
  if (HedgerowError.is(error, "fenced")) return error;
  throw error;
}

function notSupported(): HedgerowError {
  return new HedgerowError(
    "not_supported",
    "not supported: no log table is configured (--log-table)",
  );
}
