import { create, type Message } from "@bufbuild/protobuf";
import { HedgerowError, messageOf } from "../errors.ts";
import {
  type BatchCall,
  type BatchReply,
  BatchReplySchema,
  BatchResponseSchema,
  PeerService,
} from "../gen/hedgerow/v1/peer_pb.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import { decode, encode } from "./codec.ts";
import { Deadlines, type Expiring } from "./deadlines.ts";
import { publicError, toBatchError } from "./errors.ts";
import { MAX_CALL_BYTES } from "./limits.ts";
import { type PeerRoute, serve } from "./port.ts";
import { pathOf, replyTooLarge } from "./server.ts";

/** Calls in one batch. */
const MAX_BATCH_CALLS = 512;

export interface BatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The route that serves several calls in one request, side by side, each with its own deadline, reply
 * and error. Only routes with `batched: true` may be called through it.
 */
export function batchRoute(routes: readonly PeerRoute[], options: BatchOptions): PeerRoute {
  const batched = routes.filter((route) => route.batched);
  const service: BatchService = {
    ...options,
    routes: new Map(batched.map((route) => [pathOf(route.method).slice(1), route])),
    deadlines: new Deadlines(options.clock),
  };
  return serve(PeerService.method.batch, async ({ calls }, { timeoutMs }) => {
    if (calls.length > MAX_BATCH_CALLS) {
      throw new HedgerowError("too_large", `more than ${MAX_BATCH_CALLS} calls in a batch`);
    }
    const replies = await new BatchInProgress(service, calls, timeoutMs).run();
    keepWithin(replies, MAX_CALL_BYTES);
    return create(BatchResponseSchema, { replies });
  });
}

interface BatchService extends BatchOptions {
  /** By name, as in `hedgerow.v1.PeerService/Append`. */
  readonly routes: ReadonlyMap<string, PeerRoute>;
  readonly deadlines: Deadlines;
}

/** The calls of one batch. They share an entry among the deadlines, and have no promise beside their handler's. */
class BatchInProgress implements Expiring {
  deadline = Number.POSITIVE_INFINITY;
  readonly #start: number;
  readonly #replies: (BatchReply | undefined)[];
  #left: number;
  readonly #done = Promise.withResolvers<BatchReply[]>();

  constructor(
    private readonly service: BatchService,
    private readonly calls: readonly BatchCall[],
    private readonly timeoutMs: number,
  ) {
    this.#start = service.clock.now();
    this.#replies = new Array(calls.length);
    this.#left = calls.length;
  }

  run(): Promise<BatchReply[]> {
    for (const [index, call] of this.calls.entries()) {
      this.#serve(index, call);
      this.deadline = Math.min(this.deadline, this.#deadlineOf(call));
    }
    if (this.#left > 0) this.service.deadlines.add(this);
    else this.#finish();
    return this.#done.promise;
  }

  expire(): void {
    const now = this.service.clock.now();
    this.deadline = Number.POSITIVE_INFINITY;
    for (const [index, call] of this.calls.entries()) {
      if (this.#replies[index] !== undefined) continue;
      const due = this.#deadlineOf(call);
      if (due <= now) this.#fail(index, new HedgerowError("timeout", "not done in time"));
      else this.deadline = Math.min(this.deadline, due);
    }
    if (this.#left > 0) this.service.deadlines.add(this);
  }

  #deadlineOf(call: BatchCall): number {
    return this.#start + Math.min(call.timeoutMs, this.timeoutMs);
  }

  #serve(index: number, call: BatchCall): void {
    const route = this.service.routes.get(call.method);
    if (route === undefined) {
      this.#fail(
        index,
        new HedgerowError("not_found", `${call.method} cannot be called in a batch`),
      );
      return;
    }
    try {
      const request = decode(route.method.input, call.message);
      const timeoutMs = Math.min(call.timeoutMs, this.timeoutMs);
      route.handle(request, { timeoutMs }).then(
        (reply) => this.#succeed(index, route, reply as Message),
        (error: unknown) => this.#fail(index, error),
      );
    } catch (error) {
      this.#fail(index, error);
    }
  }

  #succeed(index: number, route: PeerRoute, reply: Message): void {
    try {
      const value = encode(route.method.output, reply);
      this.#settle(index, create(BatchReplySchema, { outcome: { case: "message", value } }));
    } catch (error) {
      this.#fail(index, error);
    }
  }

  #fail(index: number, error: unknown): void {
    const seen = publicError(error);
    if (seen.code === "internal") {
      const fields = { method: this.calls[index]?.method, error: messageOf(error) };
      this.service.logger.error("handler failed", fields);
    }
    this.#settle(index, refusal(seen));
  }

  #settle(index: number, reply: BatchReply): void {
    if (this.#replies[index] !== undefined) return;
    this.#replies[index] = reply;
    this.#left--;
    if (this.#left === 0) this.#finish();
  }

  #finish(): void {
    this.service.deadlines.delete(this);
    this.#done.resolve(this.#replies as BatchReply[]);
  }
}

/** Refuses the replies that are too large by themselves or no longer fit beside the others. */
function keepWithin(replies: BatchReply[], maxBytes: number): void {
  // Tag and length of a reply and of its message take at most 12 bytes.
  const overhead = 12;
  let bytes = 0;
  for (const [index, { outcome }] of replies.entries()) {
    if (outcome.case !== "message") continue;
    if (bytes + outcome.value.length + overhead > maxBytes) {
      replies[index] = refusal(replyTooLarge(maxBytes));
    } else {
      bytes += outcome.value.length + overhead;
    }
  }
}

function refusal(error: HedgerowError): BatchReply {
  return create(BatchReplySchema, { outcome: { case: "error", value: toBatchError(error) } });
}
