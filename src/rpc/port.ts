import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { HedgerowError } from "../errors.ts";
import type { CallOptions } from "../runtime/runtime.ts";
import type { ReplyRoom } from "./reply-room.ts";

/** `host:port` of a node's peer listener. */
export type Address = string;

/**
 * Other nodes, as the parts see them: rpc/ implements it with Connect, the simulation in memory.
 * Errors are HedgerowErrors: the other node's own, or `unavailable` (surely not executed),
 * `outcome_unknown` (the connection broke in mid-call), `timeout`, `canceled`.
 */
export interface Peers {
  unary<I extends DescMessage, O extends DescMessage>(
    to: Address,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): Promise<MessageShape<O>>;
  /**
   * Opens a stream: resolves with the replies once the other node has taken it, and reads nothing of `input` before
   * that. `timeoutMs` bounds the opening alone (10 s by default), the signal ends the stream whenever it aborts.
   * Leaving the replies early ends it too. Both directions have back-pressure. A stream that the other side ends, or
   * that is cut, throws from the replies; what came before is read first.
   */
  stream<H extends DescMessage>(
    to: Address,
    kind: StreamKind<H>,
    opening: MessageInitShape<H>,
    input: StreamInput,
    options?: StreamCallOptions,
  ): Promise<Received>;
  /**
   * For an address that is no longer a member's: what waits unsent fails with `unavailable`, calls under way
   * go on to their answers or deadlines, streams are cut. A later call to the address begins anew.
   */
  forget(address: Address): void;
  /** When a call to the address was last answered without an error, on the clock's `now`. */
  heardAt?(address: Address): number | undefined;
}

/** What a handler knows of the call that it serves. */
export interface ServedCall {
  /** Milliseconds that the caller still waits. */
  readonly timeoutMs: number;
  /** Aborts when the caller goes away. Absent for calls that travelled in a batch. */
  readonly signal?: AbortSignal | undefined;
  /** What may be replied, where that is bounded: for clients. */
  readonly reply?: ReplyRoom | undefined;
  /** Milliseconds that it may wait for that. Default: nine tenths of `timeoutMs`. */
  readonly roomWithinMs?: number | undefined;
}

export type PeerHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: ServedCall,
) => Promise<MessageInitShape<O>>;

/** Serves one method; made by `serve`, which ties the handler's types to the method. */
export interface PeerRoute {
  readonly method: DescMethodUnary;
  readonly handle: (request: unknown, call: ServedCall) => Promise<unknown>;
}

export function serve<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handler: PeerHandler<I, O>,
): PeerRoute {
  return { method, handle: (request, call) => handler(request as MessageShape<I>, call) };
}

/** What a stream between nodes is for, and the message that opens it. All that follows are bytes. */
export interface StreamKind<H extends DescMessage = DescMessage> {
  readonly name: string;
  readonly opening: H;
  /**
   * It carries bytes: they arrive in order, in other pieces than they were sent in, which are the reader's own. So large
   * messages need not be put together. Their limit is 4 MiB, whatever the nodes' setting. Default false: each message
   * arrives as it was sent.
   */
  readonly isBytes?: boolean;
}

export interface StreamCallOptions extends CallOptions {
  /** Called once if the stream was opened, when it is over, whether or not its replies have been read. */
  readonly onEnd?: (() => void) | undefined;
}

/**
 * Text is sent as UTF-8. Large messages are sent from where they are: their bytes must not change until the next message
 * is asked for, or the source is left (`return`).
 */
export type StreamInput = AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>;

export type Replies = AsyncIterableIterator<Uint8Array, undefined, undefined>;

/** What comes over a connection. */
export interface Received extends Replies {
  /**
   * Reads on to the end, without a turn for each message: `take` is given it as it comes, and must have done with it when
   * it returns, as its memory is used for the next one. Throws as reading does; what `take` throws leaves the stream.
   */
  each(take: (message: Uint8Array) => void): Promise<void>;
}

/** What a handler knows of the stream that it serves. */
export interface ServedStream {
  /** Aborts when the stream has ended, for whatever reason. */
  readonly signal: AbortSignal;
  /** Ends both directions. Does nothing once the stream has ended. */
  fail(error: HedgerowError): void;
}

/**
 * Takes a stream by giving its replies, or refuses it by a HedgerowError. The input ends when the other side has
 * sent all, and throws when the stream fails.
 */
export type StreamHandler<H extends DescMessage> = (
  opening: MessageShape<H>,
  input: Received,
  stream: ServedStream,
) => StreamInput | Promise<StreamInput>;

export interface StreamRules {
  /** Throws if no stream of this kind may go on: asked before each message is read or sent. */
  readonly check?: () => void;
  /** What the other side sees of an error of the replies. Default: HedgerowErrors; others are `internal`. */
  readonly failure?: (error: unknown) => HedgerowError;
}

/** Serves streams of one kind; made by `serveStream`, which ties the handler's types to the kind. */
export interface StreamRoute extends StreamRules {
  readonly kind: StreamKind;
  readonly handle: StreamHandler<DescMessage>;
}

export function serveStream<H extends DescMessage>(
  kind: StreamKind<H>,
  handler: StreamHandler<H>,
  rules: StreamRules = {},
): StreamRoute {
  return {
    ...rules,
    kind,
    handle: (opening, ...rest) => handler(opening as MessageShape<H>, ...rest),
  };
}
