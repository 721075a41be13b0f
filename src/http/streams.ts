import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import type {
  StreamBroadcastOpen,
  StreamBroadcastRequest,
  StreamBroadcastResponseSchema,
  StreamToLeaderOpen,
  StreamToLeaderRequest,
  StreamToLeaderResponseSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { BroadcastReply, HedgerowNode } from "../node/api.ts";
import { thenNow } from "../runtime/ready.ts";

export function streamToLeader(
  node: HedgerowNode,
  requests: AsyncIterable<StreamToLeaderRequest>,
  context: HandlerContext,
): AsyncIterable<MessageInitShape<typeof StreamToLeaderResponseSchema>> {
  const begin = async () => {
    const { open, messages } = await opened<StreamToLeaderOpen>(requests);
    return node.streamToLeader(messages, { metadata: open?.metadata, ...callOf(context) });
  };
  return new Answers(begin, (data) => ({ data }), context);
}

export function streamBroadcast(
  node: HedgerowNode,
  requests: AsyncIterable<StreamBroadcastRequest>,
  context: HandlerContext,
): AsyncIterable<MessageInitShape<typeof StreamBroadcastResponseSchema>> {
  const begin = async () => {
    const { open, messages } = await opened<StreamBroadcastOpen>(requests);
    const only = open?.onlySendTo ?? [];
    return node.streamBroadcast(messages, {
      metadata: open?.metadata,
      skipSelf: open?.skipSelf,
      ...(only.length > 0 && { onlySendTo: only }),
      ...callOf(context),
    });
  };
  return new Answers(begin, replyToWire, context);
}

function callOf(context: HandlerContext) {
  return { signal: context.signal, timeoutMs: context.timeoutMs() };
}

interface Request<Open> {
  readonly part:
    | { readonly case: "data"; readonly value: Uint8Array }
    | { readonly case: "open"; readonly value: Open }
    | { readonly case: undefined; readonly value?: undefined };
}

const EMPTY = new Uint8Array();

/** Waits for the first message, which may say how to open the stream. */
async function opened<Open>(requests: AsyncIterable<Request<Open>>) {
  const rest = requests[Symbol.asyncIterator]();
  const first = await rest.next();
  const part = first.done === true ? null : first.value.part;
  if (part === null) return { open: undefined, messages: [] };
  if (part.case === "open") return { open: part.value, messages: new Messages(rest, null) };
  return { open: undefined, messages: new Messages(rest, part.value ?? EMPTY) };
}

type Step<T> = IteratorResult<T, undefined>;

const DONE = { done: true, value: undefined } as const;

// Iterators by hand: of these two a node runs thousands at once, and an async generator takes a kilobyte, and three
// promises for each message.

/** What the requests of a stream carry. */
class Messages<Open> implements AsyncIterableIterator<Uint8Array, undefined, undefined> {
  readonly #read = (next: IteratorResult<Request<Open>>): Step<Uint8Array> => {
    if (next.done === true) return DONE;
    const { part } = next.value;
    if (part.case !== "open") return { done: false, value: part.value ?? EMPTY };
    this.rest.return?.().catch(() => {}); // its outcome has no reader
    throw openedTwice();
  };

  constructor(
    private readonly rest: AsyncIterator<Request<Open>>,
    private first: Uint8Array | null,
  ) {}

  next(): Promise<Step<Uint8Array>> {
    const value = this.first;
    if (value === null) return thenNow(this.rest.next(), this.#read);
    this.first = null;
    return Promise.resolve({ done: false, value });
  }

  async return(): Promise<Step<Uint8Array>> {
    await this.rest.return?.();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Replies as they are sent. The server's stop and the caller's deadline are told as such. */
class Answers<Reply, Answer> implements AsyncIterableIterator<Answer, undefined, undefined> {
  #replies: AsyncIterator<Reply> | null = null;
  #left = false;

  readonly #answer = (next: IteratorResult<Reply>): Step<Answer> =>
    next.done === true ? DONE : { done: false, value: this.toWire(next.value) };

  readonly #fail = (error: unknown): never => {
    const { reason } = this.context.signal;
    throw reason instanceof ConnectError ? reason : error;
  };

  constructor(
    private readonly begin: () => Promise<AsyncIterable<Reply>>,
    private readonly toWire: (reply: Reply) => Answer,
    private readonly context: HandlerContext,
  ) {}

  next(): Promise<Step<Answer>> {
    return thenNow(this.#replies?.next() ?? this.#first(), this.#answer, this.#fail);
  }

  async return(): Promise<Step<Answer>> {
    this.#left = true;
    await this.#replies?.return?.();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #first(): Promise<IteratorResult<Reply>> {
    const replies = await this.begin();
    this.#replies = replies[Symbol.asyncIterator]();
    if (this.#left) await this.#replies.return?.();
    return await this.#replies.next();
  }
}

function replyToWire(
  reply: BroadcastReply,
): MessageInitShape<typeof StreamBroadcastResponseSchema> {
  const { node } = reply;
  if ("data" in reply) return { node, outcome: { case: "data", value: reply.data } };
  const { code, message } = HedgerowError.from(reply.error);
  return { node, outcome: { case: "failure", value: { code, message } } };
}

function openedTwice(): HedgerowError {
  return new HedgerowError("invalid_argument", "`open` comes first, or not at all");
}
