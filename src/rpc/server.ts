import type { DescMethod, Message } from "@bufbuild/protobuf";
import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import { pathOfUrl } from "./base-route.ts";
import { readBody } from "./body.ts";
import { decode, decodeJson, encode, encodeJson } from "./codec.ts";
import { Deadlines } from "./deadlines.ts";
import { errorResponse, publicError } from "./errors.ts";
import { DEFAULT_TIMEOUT_MS, MAX_CALL_BYTES, MAX_TIMEOUT_MS } from "./limits.ts";
import type { PeerRoute } from "./port.ts";
import type { ReplyRoom } from "./reply-room.ts";
import { CallInProgress, stopped } from "./served-call.ts";
import type { MethodTraffic, Traffic } from "./traffic.ts";

/** The one thing that handlers need of a Bun.Server. */
export interface IdleControl {
  /** Where the request comes from. */
  requestIP?(request: Request): { readonly address: string; readonly port?: number } | null;
  /** Ends the request's connection after so many quiet seconds; 0: never. */
  timeout(request: Request, seconds: number): void;
}

/** Answers a request of Bun.serve, or gives undefined for one that is not its business. */
export type WireHandler = (request: Request, server: IdleControl) => Promise<Response> | undefined;

export interface UnaryOptions {
  readonly routes: Iterable<PeerRoute>;
  readonly clock: Clock;
  /** Told of handlers' defects, which callers see as `internal` only. */
  readonly logger: Logger;
  /** Bytes of a request, and of a reply. Default 4 MiB + 64 KiB. */
  readonly maxBytes?: number;
  /** Serves the same methods in other protocols (gRPC-Web). Default: they are refused. */
  readonly next?: WireHandler;
  /** What of a URL names a route. Default: its path. */
  readonly pathOf?: ((url: string) => string) | undefined;
  /** Routes that make no messages of the bytes. */
  readonly byteRoutes?: Iterable<ByteRoute>;
  /** Counts what `routes` serve. Default: nobody does. */
  readonly traffic?: Traffic | undefined;
  /** Ends what is sent to them still, and refuses what comes later, with `stopped`. Default: never. */
  readonly shutdown?: AbortSignal | undefined;
  /** Bounds what of replies waits to be sent. Default: nothing does. */
  readonly roomOf?: ((request: Request, server: IdleControl) => ReplyRoom) | undefined;
}

export type Format = "proto" | "json";

/** A request as its route gets it. */
export interface IncomingCall {
  readonly body: Uint8Array;
  readonly format: Format;
  readonly call: CallInProgress;
}

/** Serves one path, from bytes to bytes. */
export interface ByteRoute {
  readonly path: string;
  /** Counts its calls, unless it does that itself. */
  readonly traffic?: MethodTraffic | undefined;
  serve(call: IncomingCall): Promise<Uint8Array<ArrayBuffer>>;
}

/** `/hedgerow.v1.PeerService/Append` */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/**
 * Unary Connect (connectrpc.com/docs/protocol), in protobuf and JSON, with whole bodies in and out:
 * several times as fast as Connect's own handlers, which pass every body through streams.
 */
export function unaryRoutes(options: UnaryOptions): WireHandler {
  const deadlines = new Deadlines<CallInProgress>(options.clock);
  options.shutdown?.addEventListener("abort", () => {
    for (const call of deadlines.open) call.stop();
  });
  const routes = new Map<string, ByteRoute>();
  for (const route of options.routes) {
    routes.set(
      pathOf(route.method),
      new MessageRoute(route, options.traffic?.served(route.method)),
    );
  }
  for (const route of options.byteRoutes ?? []) routes.set(route.path, route);
  const service = new UnaryService(options, routes, deadlines);
  return (request, server) => service.handle(request, server);
}

/** What nobody serves. */
export function noSuchRoute(request: Request): Response {
  const path = pathOfUrl(request.url);
  return errorResponse(new HedgerowError("not_found", `nothing is served at ${path}`));
}

export function replyTooLarge(maxBytes: number): HedgerowError {
  return new HedgerowError("too_large", `the reply is over ${maxBytes} bytes`);
}

const REPLY: Readonly<Record<Format, ResponseInit>> = {
  proto: { headers: { "content-type": "application/proto" } },
  json: { headers: { "content-type": "application/json" } },
};
const ACCEPTED = "application/proto, application/json";
const CONTENT_TYPE = /^application\/(proto|json)\s*(;|$)/i;
const TIMEOUT = /^\d{1,10}$/;
/** Calls that may take longer keep their quiet connection open, which would end sooner (bind.ts). */
const LONG_CALL_MS = 60_000;
/** A handler may say why it did not end in time; then the call is ended for it. */
const LATE_MS = 50;

class UnaryService {
  readonly #maxBytes: number;
  readonly #pathOf: (url: string) => string;

  constructor(
    private readonly options: UnaryOptions,
    private readonly routes: ReadonlyMap<string, ByteRoute>,
    private readonly deadlines: Deadlines<CallInProgress>,
  ) {
    this.#maxBytes = options.maxBytes ?? MAX_CALL_BYTES;
    this.#pathOf = options.pathOf ?? pathOfUrl;
  }

  handle(request: Request, server: IdleControl): Promise<Response> | undefined {
    const route = this.routes.get(this.#pathOf(request.url));
    if (route === undefined) return undefined;
    if (request.method !== "POST") return Promise.resolve(wrongMethod(request.method));
    const format = formatOf(request.headers.get("content-type"));
    if (format === null) {
      return this.options.next?.(request, server) ?? Promise.resolve(wrongContentType());
    }
    return this.#serve(route, format, request, server);
  }

  async #serve(
    route: ByteRoute,
    format: Format,
    request: Request,
    server: IdleControl,
  ): Promise<Response> {
    let body: Uint8Array | null = null;
    const room = this.options.roomOf?.(request, server);
    try {
      if (route.traffic !== undefined) route.traffic.begun++;
      if (this.options.shutdown?.aborted) throw stopped();
      const timeoutMs = checkHeaders(request.headers);
      if (timeoutMs > LONG_CALL_MS) server.timeout(request, 0);
      const deadline = this.options.clock.now() + timeoutMs + LATE_MS;
      const call = new CallInProgress(this.deadlines, deadline, timeoutMs, request, room);
      body = await call.within(() => readBody(request, "request", this.#maxBytes));
      call.isWhole = true;
      if (route.traffic !== undefined) route.traffic.requestBytes += body.length;
      const reply = await route.serve({ body, format, call });
      if (reply.length > this.#maxBytes) throw replyTooLarge(this.#maxBytes);
      const sent = room === undefined ? reply : room.bodyOf(reply, request);
      route.traffic?.succeeded(reply.length);
      return new Response(sent, REPLY[format]);
    } catch (error) {
      room?.release();
      return this.#refuse(route, body === null ? withoutBody(error) : error);
    }
  }

  #refuse(route: ByteRoute, error: unknown): Response {
    const seen = publicError(error);
    route.traffic?.failed(seen.code);
    if (seen.code === "internal") {
      const fields = { method: route.path, error: messageOf(error) };
      this.options.logger.error("handler failed", fields);
    }
    return seen.code === "too_large" ? errorResponse(seen, 413) : errorResponse(seen);
  }
}

class MessageRoute implements ByteRoute {
  readonly path: string;

  constructor(
    private readonly route: PeerRoute,
    readonly traffic?: MethodTraffic,
  ) {
    this.path = pathOf(route.method);
  }

  serve({ body, format, call }: IncomingCall) {
    const { method, handle } = this.route;
    const message = (format === "proto" ? decode : decodeJson)(method.input, body);
    return call
      .within(() => handle(message, call))
      .then((reply) => (format === "proto" ? encode : encodeJson)(method.output, reply as Message));
  }
}

function formatOf(contentType: string | null): Format | null {
  if (contentType === "application/proto") return "proto";
  return (CONTENT_TYPE.exec(contentType ?? "")?.[1]?.toLowerCase() as Format | undefined) ?? null;
}

/** The caller's time-out in milliseconds. Throws for what the protocol says to refuse. */
function checkHeaders(headers: Headers): number {
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    throw new HedgerowError("not_supported", `content-encoding ${encoding}: send it uncompressed`);
  }
  const version = headers.get("connect-protocol-version");
  if (version !== null && version !== "1") {
    throw new HedgerowError("invalid_argument", `connect-protocol-version ${version}: only 1`);
  }
  const timeout = headers.get("connect-timeout-ms");
  if (timeout === null) return DEFAULT_TIMEOUT_MS;
  if (!TIMEOUT.test(timeout)) {
    throw new HedgerowError("invalid_argument", "connect-timeout-ms: at most 10 digits");
  }
  return Math.min(Number(timeout), MAX_TIMEOUT_MS);
}

/** A body that breaks off is no defect: its caller has gone. */
function withoutBody(cause: unknown): HedgerowError {
  if (cause instanceof HedgerowError) return cause;
  return new HedgerowError("canceled", "the caller went away", { cause });
}

function wrongMethod(method: string): Response {
  const error = new HedgerowError("invalid_argument", `${method} is not served: use POST`);
  return errorResponse(error, 405, { allow: "POST" });
}

function wrongContentType(): Response {
  const error = new HedgerowError("invalid_argument", `send content-type ${ACCEPTED}`);
  return errorResponse(error, 415, { "accept-post": ACCEPTED });
}
