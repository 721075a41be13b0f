import type { Message } from "@bufbuild/protobuf";
import { HedgerowError, messageOf } from "../errors.ts";
import { BatchErrorSchema, PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import { readBatch, replySize, type WireCall, type WireReply, writeReplies } from "./batch-wire.ts";
import { decode, encode } from "./codec.ts";
import { Deadlines, type Expiring } from "./deadlines.ts";
import { publicError, toBatchError } from "./errors.ts";
import { MAX_CALL_BYTES } from "./limits.ts";
import type { PeerRoute } from "./port.ts";
import { type MethodTraffic, Traffic } from "./traffic.ts";
import type { CallInProgress } from "./served-call.ts";
import { type ByteRoute, pathOf, replyTooLarge } from "./server.ts";

/** Calls in one batch. */
const MAX_BATCH_CALLS = 512;

export interface BatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts the calls. Default: nobody does. */
  readonly traffic?: Traffic | undefined;
}

/**
 * Serves several calls of these routes in one request, side by side, each with its own deadline, reply and
 * error.
 */
export function batchRoute(routes: readonly PeerRoute[], options: BatchOptions): ByteRoute {
  const { traffic = new Traffic() } = options;
  const counted = routes.map((route) => ({ ...route, traffic: traffic.served(route.method) }));
  const service: BatchService = {
    ...options,
    routes: new Map(counted.map((route) => [pathOf(route.method).slice(1), route])),
    deadlines: new Deadlines(options.clock),
  };
  return {
    path: pathOf(PeerService.method.batch),
    async serve({ body, format, call }) {
      if (format !== "proto") {
        throw new HedgerowError("invalid_argument", "batches come as application/proto");
      }
      const calls = readBatch(body);
      if (calls.length > MAX_BATCH_CALLS) {
        throw new HedgerowError("too_large", `more than ${MAX_BATCH_CALLS} calls in a batch`);
      }
      return writeReplies(await new BatchInProgress(service, calls, call).run());
    },
  };
}

interface CountedRoute extends PeerRoute {
  readonly traffic: MethodTraffic;
}

interface BatchService extends BatchOptions {
  /** By name, as in `hedgerow.v1.PeerService/Append`. */
  readonly routes: ReadonlyMap<string, CountedRoute>;
  readonly deadlines: Deadlines;
}

/**
 * The calls of one batch. They share one entry among the deadlines, and have no promise beside their
 * handler's: at this rate each would count.
 */
class BatchInProgress implements Expiring {
  deadline = Number.POSITIVE_INFINITY;
  /** When the request came. */
  readonly #start: number;
  readonly #timeoutMs: number;
  readonly #replies: (WireReply | undefined)[];
  #left: number;
  #bytes = 0;
  readonly #done = Promise.withResolvers<WireReply[]>();

  constructor(
    private readonly service: BatchService,
    private readonly calls: readonly WireCall[],
    { deadline, timeoutMs }: CallInProgress,
  ) {
    this.#start = deadline - timeoutMs;
    this.#timeoutMs = timeoutMs;
    this.#replies = new Array(calls.length);
    this.#left = calls.length;
  }

  run(): Promise<WireReply[]> {
    for (let i = 0; i < this.calls.length; i++) this.#serve(i, this.calls[i] as WireCall);
    if (this.#left > 0) this.#await();
    else this.#finish();
    return this.#done.promise;
  }

  expire(now: number): void {
    for (const [index, call] of this.calls.entries()) {
      if (this.#replies[index] !== undefined || this.#deadlineOf(call) > now) continue;
      this.#fail(index, new HedgerowError("timeout", `not done within ${call.timeoutMs} ms`));
    }
    if (this.#left > 0) this.#await();
  }

  /** Expires with the next deadline of those that are not answered. */
  #await(): void {
    this.deadline = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.calls.length; i++) {
      if (this.#replies[i] !== undefined) continue;
      this.deadline = Math.min(this.deadline, this.#deadlineOf(this.calls[i] as WireCall));
    }
    this.service.deadlines.add(this);
  }

  #deadlineOf(call: WireCall): number {
    return this.#start + Math.min(call.timeoutMs, this.#timeoutMs);
  }

  #serve(index: number, call: WireCall): void {
    try {
      const route = this.service.routes.get(call.method);
      if (route === undefined) {
        throw new HedgerowError("not_found", `${call.method} cannot be called in a batch`);
      }
      route.traffic.begun++;
      route.traffic.requestBytes += call.message.length;
      const request = decode(route.method.input, call.message);
      const timeoutMs = Math.min(call.timeoutMs, this.#timeoutMs);
      route.handle(request, { timeoutMs }).then(
        (reply) => this.#succeed(index, route, reply as Message),
        (error: unknown) => this.#fail(index, error),
      );
    } catch (error) {
      this.#fail(index, error);
    }
  }

  #succeed(index: number, route: CountedRoute, reply: Message): void {
    try {
      const bytes = encode(route.method.output, reply);
      // A reply that is too large by itself, or no longer fits beside the others, is refused alone.
      if (this.#bytes + replySize(bytes.length) > MAX_CALL_BYTES) {
        throw replyTooLarge(MAX_CALL_BYTES);
      }
      if (this.#settle(index, { ok: true, bytes })) route.traffic.succeeded(bytes.length);
    } catch (error) {
      this.#fail(index, error);
    }
  }

  #fail(index: number, error: unknown): void {
    const seen = publicError(error);
    const { method = "" } = this.calls[index] ?? {};
    if (seen.code === "internal") {
      const fields = { method, error: messageOf(error) };
      this.service.logger.error("handler failed", fields);
    }
    const bytes = encode(BatchErrorSchema, toBatchError(seen));
    if (this.#settle(index, { ok: false, bytes })) {
      this.service.routes.get(method)?.traffic.failed(seen.code);
    }
  }

  /** False if it has been settled: its deadline passed meanwhile. */
  #settle(index: number, reply: WireReply): boolean {
    if (this.#replies[index] !== undefined) return false;
    this.#replies[index] = reply;
    this.#bytes += replySize(reply.bytes.length);
    this.#left--;
    if (this.#left === 0) this.#finish();
    return true;
  }

  #finish(): void {
    this.service.deadlines.delete(this);
    this.#done.resolve(this.#replies as WireReply[]);
  }
}
