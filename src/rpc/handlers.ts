import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type Interceptor,
  type MethodImplSpec,
} from "@connectrpc/connect";
import {
  type UniversalHandler,
  universalServerRequestFromFetch,
  universalServerResponseToFetch,
} from "@connectrpc/connect/protocol";
import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import { pathOfUrl } from "./base-route.ts";
import { behind, publicError, toConnectError } from "./errors.ts";
import { MAX_CALL_BYTES, MAX_STREAM_TIMEOUT_MS } from "./limits.ts";
import { withoutLongTimeouts } from "./long-timeouts.ts";
import { type MessageWires, NO_WIRES } from "./message-wire.ts";
import { REPLY_ROOM, type ReplyRoom } from "./reply-room.ts";
import { type IdleControl, pathOf, type WireHandler } from "./server.ts";
import { stopped } from "./served-call.ts";
import { serveStream } from "./stream-routes.ts";
import type { StreamSpec } from "./stream-run.ts";
import { Turns } from "./turns.ts";
import { withDetail } from "./web-status.ts";
import { wholeInTime } from "./whole-request.ts";

export interface ConnectHandlersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bytes of one message. Default 4 MiB + 64 KiB. */
  readonly maxBytes?: number;
  /** Of streams' messages that have a codec by hand. Default: none. */
  readonly wires?: MessageWires;
  /** What handlers are told of a request beside its headers. Default: nothing. */
  readonly contextOf?: (request: Request, server: IdleControl) => ContextValues;
  /** Ends a stream with its reason, a ConnectError. Default: nothing does before `stop`. */
  readonly endOf?: ((request: Request) => AbortSignal) | undefined;
  /** As `UnaryOptions.roomOf`. */
  readonly roomOf?: ((request: Request, server: IdleControl) => ReplyRoom) | undefined;
}

/** What unaryRoutes does not serve: streams, and by Connect's own handlers gRPC-Web and all that is unusual. */
export interface ConnectHandlers {
  readonly handle: WireHandler;
  /** Aborts the signal of every call under way, and of those to come, with `stopped`. */
  stop(): void;
}

/** `configure` registers services on the router, whose handlers may throw HedgerowErrors. */
export function connectHandlers(
  configure: (router: ConnectRouter) => void,
  options: ConnectHandlersOptions,
): ConnectHandlers {
  const shutdown = new AbortController();
  const router = createConnectRouter({
    ...handlerOptions(options, shutdown.signal),
    grpc: false, // needs trailers, which Bun.serve cannot send
  });
  const streams = new Map<string, StreamSpec>();
  configure(noting(router, (spec) => streams.set(pathOf(spec.method), spec)));
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const { clock, contextOf, endOf, logger, maxBytes = MAX_CALL_BYTES, wires = NO_WIRES } = options;
  const seen = (error: unknown, method: string) => seenOf(error, method, logger);
  const given = { clock, turns: Turns.of(clock), contextOf, endOf, maxBytes, wires };
  const lean = { ...given, shutdown: shutdown.signal, publicError: seen };
  return {
    handle(request, server) {
      const path = pathOfUrl(request.url);
      const stream = streams.get(path);
      const served = stream && serveStream(stream, request, server, lean);
      if (served !== undefined) return served;
      const handler = handlers.get(path);
      if (handler === undefined) return undefined;
      return answer(handler, request, server, options, shutdown.signal);
    },
    stop: () => shutdown.abort(stoppedReason()),
  };
}

/** A router that tells of the streams that it is given. */
export function noting(router: ConnectRouter, note: (spec: StreamSpec) => void): ConnectRouter {
  const noteStream = (spec: MethodImplSpec) => {
    if (spec.kind !== "unary") note(spec);
  };
  const noted: ConnectRouter = {
    handlers: router.handlers,
    rpc(method, implementation, given) {
      noteStream(createMethodImplSpec(method, implementation));
      router.rpc(method, implementation, given);
      return noted;
    },
    service(service, implementation, given) {
      const { methods } = createServiceImplSpec(service, implementation);
      for (const spec of Object.values(methods)) noteStream(spec);
      router.service(service, implementation, given);
      return noted;
    },
  };
  return noted;
}

/** What all listeners with Connect's own handlers have in common. `shutdown` ends calls with its reason. */
export function handlerOptions(
  { logger, maxBytes = MAX_CALL_BYTES }: Pick<ConnectHandlersOptions, "logger" | "maxBytes">,
  shutdown: AbortSignal,
): ConnectRouterOptions {
  return {
    shutdownSignal: shutdown,
    readMaxBytes: maxBytes,
    writeMaxBytes: maxBytes,
    maxTimeoutMs: MAX_STREAM_TIMEOUT_MS,
    acceptCompression: [],
    jsonOptions: { ignoreUnknownFields: false }, // as decodeJson
    interceptors: [errorsToConnect(logger)],
  };
}

/** With what calls are aborted at a stop. */
export function stoppedReason(): ConnectError {
  return toConnectError(stopped());
}

async function answer(
  handler: UniversalHandler,
  request: Request,
  server: IdleControl,
  { clock, contextOf, endOf, roomOf }: ConnectHandlersOptions,
  stop: AbortSignal,
): Promise<Response> {
  const isUnary = handler.method.methodKind === "unary";
  const end = isUnary ? undefined : endOf?.(request);
  const room = isUnary ? roomOf?.(request, server) : undefined;
  const contextValues = (contextOf?.(request, server) ?? createContextValues()).set(
    REPLY_ROOM,
    room,
  );
  // Full-duplex streams are refused for anything below HTTP/2, but Bun serves them over HTTP/1.1 too.
  const received = universalServerRequestFromFetch(request, {
    httpVersion: "2",
  });
  const header = withoutLongTimeouts(received.header);
  const body = wholeInTime(handler.method, received.body as AsyncIterable<Uint8Array>, {
    clock,
    shutdown: end ?? stop,
    onWhole: () => server.timeout(request, 0), // streams may be quiet for as long as they like
  });
  const joint = end && joined(request.signal, end);
  const answered = await handler({
    ...received,
    header,
    body,
    ...(joint && { signal: joint.signal }),
    contextValues,
  });
  const seen = isUnary ? withDetail(answered) : answered;
  const { body: given } = seen;
  if (!given || (room === undefined && joint === undefined))
    return universalServerResponseToFetch(seen);
  const leave = () => {
    joint?.leave();
    room?.release();
  };
  request.signal.addEventListener("abort", leave, { once: true });
  const sent = untilLeft(room === undefined ? given : room.counted(given), leave);
  return universalServerResponseToFetch({ ...seen, body: sent });
}

async function* untilLeft(body: AsyncIterable<Uint8Array>, leave: () => void) {
  try {
    for await (const chunk of body) yield chunk;
  } finally {
    leave();
  }
}

/**
 * Aborts with either, until the caller has gone or `leave` is called. `AbortSignal.any` would leave half a KiB behind
 * for each call on an `end` that outlives them.
 */
export function joined(caller: AbortSignal, end: AbortSignal) {
  const joint = new AbortController();
  const abort = ({ target }: Event) => {
    leave();
    joint.abort((target as AbortSignal).reason);
  };
  const leave = () => {
    for (const signal of [caller, end]) signal.removeEventListener("abort", abort);
  };
  for (const signal of [caller, end]) {
    if (signal.aborted) joint.abort(signal.reason);
    else signal.addEventListener("abort", abort);
  }
  return { signal: joint.signal, leave };
}

function errorsToConnect(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const translate = (error: unknown) =>
      toConnectError(seenOf(behind(error, request.signal), request.method.name, logger));
    const response = await next(request).catch((error: unknown) => {
      throw translate(error);
    });
    if (!response.stream) return response;
    return { ...response, message: translated(response.message, translate) };
  };
}

/** What callers see of an error. Defects are logged. */
export function seenOf(error: unknown, method: string, logger: Logger): HedgerowError {
  const seen = isMalformed(error) ? malformed(method, error) : publicError(error);
  if (seen.code === "internal") {
    logger.error("handler failed", { method, error: messageOf(error) });
  }
  return seen;
}

/** Connect calls it a defect when a request cannot be read. It says so of nothing else that passes here. */
function isMalformed(error: unknown): error is ConnectError {
  return error instanceof ConnectError && error.code === Code.Internal;
}

/** Without the parser's words, which may hold values. */
function malformed(method: string, cause: ConnectError): HedgerowError {
  return new HedgerowError("invalid_argument", `${method}: the request is malformed`, { cause });
}

async function* translated<T>(
  messages: AsyncIterable<T>,
  translate: (error: unknown) => Error,
): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw translate(error);
  }
}
