import {
  clone,
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { type CallOptions, createClient, type Transport } from "@connectrpc/connect";
import type { HedgerowError } from "../errors.ts";
import { HedgerowService, PutRequestSchema } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { Operation, sleep } from "../runtime/operation.ts";
import { backoffMs, type Runtime } from "../runtime/runtime.ts";
import { Addresses } from "./addresses.ts";
import { connectionTo, failureOf } from "./connection.ts";
import { type Effect, effectOf } from "./effect.ts";
import type { CheckedClientOptions } from "./options.ts";
import { finalError, isVague, mayRepeat } from "./retry.ts";

/** Pauses between attempts, in milliseconds: the first doubles up to the longest. */
const PAUSE = { first: 50, longest: 1_000 };
/** An attempt that another one may follow gets so many milliseconds at the least. */
const MIN_ATTEMPT_MS = 1_000;
/** How long nodes are asked who they are, to find a leader among them. */
const LOCATE_TIMEOUT_MS = 1_000;

/** Makes calls to whichever node answers. */
export class Calls {
  readonly #addresses: Addresses;
  readonly #connections: ReadonlyMap<string, Transport>;

  constructor(
    private readonly options: CheckedClientOptions,
    private readonly runtime: Runtime,
  ) {
    this.#addresses = new Addresses(options.urls);
    this.#connections = new Map(
      options.urls.map((url) => [url, connectionTo({ ...options, url })]),
    );
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    given: MessageInitShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const request = this.#withId(method.input, create(method.input, given));
    const effect = effectOf(method, request);
    const operation = this.#begin(method.name, options, this.options.timeoutMs);
    try {
      const response = await this.#attempts(effect, operation, async (connection, timeoutMs) => {
        const { signal } = operation;
        const ms = wireMs(timeoutMs);
        return await connection.unary(method, signal, ms, options.headers, request);
      });
      options.onHeader?.(response.header);
      options.onTrailer?.(response.trailer);
      return response.message;
    } finally {
      operation[Symbol.dispose](); // not `using`, which needs a symbol that older browsers lack
    }
  }

  /**
   * Messages of a stream; leaving them ends it. A stream is opened again only while nothing has come of it, and where
   * `requests` can be sent again.
   */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>> | readonly MessageInitShape<I>[],
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const operation = this.#begin(method.name, options, Infinity);
    const { signal } = operation;
    const again = Symbol.asyncIterator in requests ? null : requests;
    const retries = again === null ? 0 : this.options.retries;
    const effect = again === null ? "twice" : effectOf(method, again[0]);
    const open = async (connection: Transport) => {
      const input = Symbol.asyncIterator in requests ? requests : fromArray(requests);
      // All the time: the node ends the stream by it.
      const limit = operation.deadline === Infinity ? undefined : wireMs(operation.remainingMs());
      const response = await connection.stream(method, signal, limit, options.headers, input);
      const messages = response.message[Symbol.asyncIterator]();
      return { ...response, messages, first: await messages.next() };
    };
    try {
      const opened = await this.#attempts(effect, operation, open, retries);
      options.onHeader?.(opened.header);
      for (let next = opened.first; !next.done; next = await opened.messages.next()) {
        yield next.value;
      }
      options.onTrailer?.(opened.trailer);
    } catch (error) {
      throw operation.ended ?? failureOf(error);
    } finally {
      operation.abandon(); // and so disposes of it
    }
  }

  async #attempts<T>(
    effect: Effect,
    operation: Operation,
    call: (connection: Transport, timeoutMs: number) => Promise<T>,
    retries = this.options.retries,
  ): Promise<T> {
    let doubtful = false;
    for (let attempt = 0; ; attempt++) {
      const url = this.#addresses.current;
      try {
        operation.check();
        const timeoutMs =
          attempt < retries ? this.#attemptMs(effect, operation) : operation.remainingMs();
        return await call(this.#connections.get(url) as Transport, timeoutMs);
      } catch (thrown) {
        const error = operation.ended ?? failureOf(thrown);
        const pauseMs = this.#pauseMs(attempt, error);
        const over = operation.ended !== null || pauseMs >= operation.remainingMs();
        if (over || attempt >= retries || !mayRepeat(error, effect)) {
          throw finalError(error, effect, doubtful);
        }
        doubtful ||= isVague(error);
        await this.#turn(url, error, operation);
        await sleep(this.runtime.clock, pauseMs, operation.signal);
      }
    }
  }

  /** So long that another node can still be asked if this one says nothing; all the time where none may be. */
  #attemptMs(effect: Effect, operation: Operation): number {
    const remainingMs = operation.remainingMs();
    if (effect === "twice" || this.#addresses.urls.length === 1) return remainingMs;
    return Math.min(remainingMs, Math.max(MIN_ATTEMPT_MS, remainingMs / 2));
  }

  /** Another node is asked at once. */
  #pauseMs(attempt: number, { retryDelayMs = 0 }: HedgerowError): number {
    const round = attempt - (this.#addresses.urls.length - 1);
    if (round < 0) return retryDelayMs;
    return Math.max(
      retryDelayMs,
      backoffMs(this.runtime.random, round, PAUSE.first, PAUSE.longest),
    );
  }

  /** To the leader that the error names, if it is among the nodes that may be asked, or to the next node. */
  async #turn(url: string, { leader }: HedgerowError, operation: Operation): Promise<void> {
    this.#addresses.leave(url);
    if (leader === undefined || leader.released || this.#addresses.urls.length === 1) return;
    if (this.#addresses.urlOf(leader.address) === undefined) await this.#locate(operation);
    const leaders = this.#addresses.urlOf(leader.address);
    if (leaders !== undefined && leaders !== url) this.#addresses.prefer(leaders);
  }

  /** Asks all nodes who they are. */
  async #locate(operation: Operation): Promise<void> {
    const timeoutMs = wireMs(Math.min(LOCATE_TIMEOUT_MS, operation.remainingMs()));
    const asked = [...this.#connections].map(async ([url, connection]) => {
      const client = createClient(HedgerowService, connection);
      const { node, members } = await client.status({}, { timeoutMs, signal: operation.signal });
      const address = members.find(({ name }) => name === node)?.address ?? node;
      this.#addresses.learn(address, url);
    });
    await Promise.allSettled(asked); // those that do not answer are not the leader to ask
  }

  #begin(what: string, options: CallOptions, defaultMs: number): Operation {
    const { timeoutMs = defaultMs, signal } = options;
    return new Operation(this.runtime.clock, what, { timeoutMs, signal }, defaultMs);
  }

  /** A put with an id can be made again. */
  #withId<I extends DescMessage>(schema: I, request: MessageShape<I>): MessageShape<I> {
    if (!isMessage(request, PutRequestSchema) || request.id !== "" || request.noAppend) {
      return request;
    }
    const named = clone(schema, request);
    return Object.assign(named, { id: this.runtime.random.id() });
  }
}

/** As it is sent, and as a timer takes it. */
function wireMs(ms: number): number {
  return Math.min(Math.max(1, Math.ceil(ms)), 2 ** 31 - 1);
}

async function* fromArray<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}
