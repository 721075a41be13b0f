import { type StreamOpening, StreamOpeningSchema } from "../gen/hedgerow/v1/peer_pb.ts";
import { HedgerowError, messageOf } from "../errors.ts";
import type { Replies, ServedStream, StreamInput, StreamKind } from "../rpc/port.ts";
import type { CallOptions } from "../runtime/runtime.ts";

/** A stream for the leader's handler. */
export const TO_LEADER: StreamKind<typeof StreamOpeningSchema> = {
  name: "leader",
  opening: StreamOpeningSchema,
};

/** A stream for the handler of every member. */
export const TO_ALL: StreamKind<typeof StreamOpeningSchema> = {
  name: "broadcast",
  opening: StreamOpeningSchema,
};

/** Bytes of all names and values of a stream's metadata. */
export const MAX_METADATA_BYTES = 16 * 1024;

export type Metadata = Readonly<Record<string, string>>;

export interface StreamOptions extends CallOptions {
  /** Told to the handler; gets an `id` if it has none. */
  readonly metadata?: Metadata | undefined;
}

export interface StreamContext {
  readonly id: string;
  readonly metadata: Metadata;
  /** Address of the node that opened the stream. */
  readonly from: string;
  /** Aborts when the stream is over, for whatever reason. */
  readonly signal: AbortSignal;
}

export type StreamHandler = (
  messages: Replies,
  context: StreamContext,
) => StreamInput | undefined | Promise<StreamInput | undefined>;

/** Throws `too_large`. */
export function openingOf(
  metadata: Metadata | undefined,
  newId: () => string,
  from: string,
): { metadata: Record<string, string>; from: string } {
  const given = { ...metadata };
  given.id ||= newId();
  const bytes = Buffer.byteLength(Object.entries(given).flat().join(""));
  if (bytes <= MAX_METADATA_BYTES) return { metadata: given, from };
  throw new HedgerowError("too_large", `metadata: over ${MAX_METADATA_BYTES} bytes, shorten it`);
}

/** The replies of a handler of the application. Throws `no_handler`. */
export function handle(
  what: string,
  handler: StreamHandler | undefined,
  { metadata, from }: StreamOpening,
  messages: Replies,
  stream: ServedStream,
): StreamInput {
  if (handler === undefined) {
    const option = what === "streamToLeader" ? "onStream" : "onStreamBroadcast";
    const message = `${what}: no stream handler on this node: start it with ${option}`;
    throw new HedgerowError("no_handler", message);
  }
  const context = {
    id: metadata.id ?? "",
    metadata,
    from,
    get signal() {
      return stream.signal;
    },
  };
  // What the handler awaits before it gives its replies may be the messages, which only come once it is running.
  return {
    [Symbol.asyncIterator]: () => new HandlerReplies(() => handler(messages, context)),
  };
}

/** Whatever a handler throws is its own failure, and must not look like one of ours. */
export function handlerFailed(error: unknown): HedgerowError {
  return new HedgerowError("handler_failed", messageOf(error), { cause: error });
}

type Step = IteratorResult<Uint8Array | string, unknown>;
type Source = AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string>;

/** Runs the handler when the first reply is asked for; after that it stands aside. */
class HandlerReplies implements AsyncIterator<Uint8Array | string> {
  #source: Source | null = null;
  #left = false;

  constructor(private readonly run: () => ReturnType<StreamHandler>) {}

  next(): Promise<Step> {
    return this.#source === null ? this.#first() : (this.#source.next() as Promise<Step>);
  }

  async return(): Promise<Step> {
    this.#left = true;
    await this.#source?.return?.();
    return { done: true, value: undefined };
  }

  async #first(): Promise<Step> {
    const given = await this.run();
    if (given === undefined || given === null) return { done: true, value: undefined };
    const source =
      Symbol.asyncIterator in given ? given[Symbol.asyncIterator]() : given[Symbol.iterator]();
    this.#source = source;
    if (this.#left) return this.return();
    return source.next();
  }
}
