import {
  constants,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { ConnectError, createConnectRouter } from "@connectrpc/connect";
import type {
  UniversalHandler,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import {
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { HedgerowError, messageOf } from "../../errors.ts";
import type { HedgerowNode } from "../../node/api.ts";
import type { Logger } from "../../observe/logger.ts";
import { handlerOptions, joined, noting, seenOf } from "../../rpc/handlers.ts";
import { withoutLongTimeouts } from "../../rpc/long-timeouts.ts";
import { REPLY_ROOM, ReplyRoom } from "../../rpc/reply-room.ts";
import { pathOf } from "../../rpc/server.ts";
import type { StreamSpec } from "../../rpc/stream-run.ts";
import { Turns } from "../../rpc/turns.ts";
import { ClientConnection } from "../../rpc/unsent.ts";
import { wholeInTime } from "../../rpc/whole-request.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { MAX_MESSAGE_BYTES } from "../../store/limits.ts";
import { accessRefusal, type Tokens } from "../access.ts";
import { withClientAddress } from "../client-address.ts";
import type { ClientApi } from "../client-api.ts";
import { apiBytesFor } from "../limits.ts";
import { StreamEnds } from "../stream-ends.ts";
import { CLIENT_WIRES } from "../wires.ts";
import type { GrpcServed } from "./listener.ts";
import { refused, withStatus } from "./status.ts";
import { isPlainGrpc, serveGrpcStream } from "./streams.ts";
import { registerTools } from "./tools.ts";

export interface GrpcServiceOptions {
  readonly node: HedgerowNode;
  readonly api: ClientApi;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Bytes of a message. Default 4 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /** Default: nobody is asked for a token. */
  readonly tokens?: Tokens | undefined;
}

/** The client API, health and reflection in native gRPC, of which browsers can speak nothing. */
export function createGrpcService(options: GrpcServiceOptions): GrpcServed {
  const { node, api, tokens = null, logger, clock } = options;
  const maxBytes = apiBytesFor(options.maxMessageBytes ?? MAX_MESSAGE_BYTES);
  const ends = new StreamEnds(tokens);
  const router = createConnectRouter({
    ...handlerOptions({ logger, maxBytes }, ends.stopped),
    grpc: true,
    grpcWeb: false,
    connect: false,
  });
  const streams = new Map<string, StreamSpec>();
  api.register(noting(router, (spec) => streams.set(pathOf(spec.method), spec)));
  const publicError = (error: unknown, method: string) => seenOf(error, method, logger);
  const lean = { clock, turns: Turns.of(clock), maxBytes, wires: CLIENT_WIRES, publicError };
  registerTools(router, node, clock);
  const connections = new WeakMap<Http2Session, ClientConnection>();
  const connectionOf = ({ stream }: Http2ServerResponse) => {
    const { session } = stream;
    const known = session && connections.get(session);
    if (known) return known;
    const connection = new ClientConnection({
      bytesTaken: () => session?.socket.bytesWritten ?? 0,
    });
    if (session) connections.set(session, connection);
    return connection;
  };
  const roomOf = (response: Http2ServerResponse) => {
    const { stream } = response;
    const cut = () => stream.session?.destroy();
    const room = new ReplyRoom(api.unsent, () => connectionOf(response), cut);
    response.once("close", () => room.release());
    return room;
  };
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));

  /** Undefined for all that is no stream of the client API, or is unusual. */
  const streamed = (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const path = request.url;
    const spec = streams.get(path);
    if (spec === undefined || !isPlainGrpc(request)) return undefined;
    const { authorization = null } = request.headers;
    if (accessRefusal(tokens, { path, authorization }) !== null) return undefined;
    const end = ends.signalFor({ path, authorization });
    return serveGrpcStream(spec, request, response, end, lean);
  };

  const answer = async (request: UniversalServerRequest): Promise<UniversalServerResponse> => {
    const path = new URL(request.url).pathname;
    const authorization = request.header.get("authorization");
    const refusal = accessRefusal(tokens, { path, authorization }); // before its body is read
    if (refusal !== null) return refused(refusal);
    const handler: UniversalHandler | undefined = handlers.get(path);
    if (handler !== undefined) {
      const given = request.body as AsyncIterable<Uint8Array>;
      const isUnary = handler.method.methodKind === "unary";
      const end = isUnary ? ends.stopped : ends.signalFor({ path, authorization });
      const body = wholeInTime(handler.method, given, { clock, shutdown: end });
      const signal = end === ends.stopped ? request.signal : joined(request.signal, end).signal;
      const answered = await handler({ ...request, body, signal });
      return withStatus(isUnary ? counted(answered, request.contextValues) : answered);
    }
    return refused(new HedgerowError("not_supported", `nothing is served at ${path}`));
  };

  return {
    async handle(request, response) {
      const started = clock.now();
      response.stream.once("finish", () => leave(response.stream));
      response.once("close", () => {
        // Neither messages nor metadata: values are never logged.
        const ms = Math.round(clock.now() - started);
        logger.debug("grpc request", { path: request.url, ms });
      });
      try {
        const stream = streamed(request, response);
        if (stream !== undefined) return await stream;
        const room = roomOf(response);
        await universalResponseToNodeResponse(
          await answer(received(request, response, room)),
          response,
        );
      } catch (error) {
        end(response, error, logger);
      }
    },
    stop() {
      ends.stop();
      api.unsent.stop();
    },
  };
}

/** Throws `invalid_argument` where the request's headers do not make an address. */
function received(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  room: ReplyRoom,
): UniversalServerRequest {
  try {
    const from = withClientAddress(response.stream.session?.socket.remoteAddress);
    from.set(REPLY_ROOM, room);
    const head = universalRequestFromNodeRequest(request, response, undefined, from);
    return { ...head, header: withoutLongTimeouts(head.header) };
  } catch (cause) {
    throw new HedgerowError("invalid_argument", ":authority is missing or malformed", { cause });
  }
}

/** Counts what is sent of it. */
function counted(
  answered: UniversalServerResponse,
  values: UniversalServerRequest["contextValues"],
): UniversalServerResponse {
  const room = values?.get(REPLY_ROOM);
  if (room === undefined || !answered.body) return answered;
  return { ...answered, body: room.counted(answered.body) };
}

/** Answered before all of it was read, as for a message over the limit: the rest would wait in vain for a reader. */
function leave(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
}

/** Connect answers what handlers throw: what comes here was not answered, or the caller has gone. */
function end(response: Http2ServerResponse, error: unknown, logger: Logger): void {
  if (response.headersSent || response.destroyed) return;
  const known = error instanceof HedgerowError || error instanceof ConnectError;
  if (!known) logger.error("grpc request failed", { error: messageOf(error) });
  const { status, header, trailer } = refused(
    error instanceof HedgerowError ? error : new HedgerowError("internal", "internal error"),
  );
  response.writeHead(status, Object.fromEntries(header));
  response.addTrailers(Object.fromEntries(trailer));
  response.end();
}
