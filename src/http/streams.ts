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

export async function* streamToLeader(
  node: HedgerowNode,
  requests: AsyncIterable<StreamToLeaderRequest>,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof StreamToLeaderResponseSchema>> {
  const { open, messages } = await opened<StreamToLeaderOpen>(requests);
  const replies = node.streamToLeader(messages, { metadata: open?.metadata, ...callOf(context) });
  for await (const data of untilStopped(replies, context)) yield { data };
}

export async function* streamBroadcast(
  node: HedgerowNode,
  requests: AsyncIterable<StreamBroadcastRequest>,
  context: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof StreamBroadcastResponseSchema>> {
  const { open, messages } = await opened<StreamBroadcastOpen>(requests);
  const only = open?.onlySendTo ?? [];
  const replies = node.streamBroadcast(messages, {
    metadata: open?.metadata,
    skipSelf: open?.skipSelf,
    ...(only.length > 0 && { onlySendTo: only }),
    ...callOf(context),
  });
  for await (const reply of untilStopped(replies, context)) yield replyToWire(reply);
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
  const open = part?.case === "open" ? part.value : undefined;
  async function* messages(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      if (part === null) return;
      if (part.case !== "open") yield part.value ?? EMPTY;
      for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
        const { part } = next.value;
        if (part.case === "open") throw openedTwice();
        yield part.value ?? EMPTY;
      }
    } finally {
      await rest.return?.();
    }
  }
  return { open, messages: messages() };
}

/** The server's stop and the caller's deadline are told as such. */
async function* untilStopped<T>(
  replies: AsyncIterable<T>,
  { signal }: HandlerContext,
): AsyncGenerator<T, void, undefined> {
  try {
    yield* replies;
  } catch (error) {
    throw signal.reason instanceof ConnectError ? signal.reason : error;
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
