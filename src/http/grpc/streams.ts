import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { HedgerowError } from "../../errors.ts";
import { Chunks } from "../../rpc/chunks.ts";
import { MAX_STREAM_TIMEOUT_MS } from "../../rpc/limits.ts";
import type { MessageWires } from "../../rpc/message-wire.ts";
import { StreamCodec } from "../../rpc/stream-codec.ts";
import { StreamContext } from "../../rpc/stream-context.ts";
import { StreamRequests } from "../../rpc/stream-requests.ts";
import { StreamRun, type StreamSpec } from "../../rpc/stream-run.ts";
import type { Turns } from "../../rpc/turns.ts";
import { UntilGone, wholeInTime } from "../../rpc/whole-request.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { withClientAddress } from "../client-address.ts";
import { statusTrailer } from "./status.ts";

export interface GrpcStreamOptions {
  readonly clock: Clock;
  /** Of all streams of the listener. */
  readonly turns: Turns;
  /** Of one message, in either direction. */
  readonly maxBytes: number;
  readonly wires: MessageWires;
  /** What a caller sees of an error. */
  readonly publicError: (error: unknown, method: string) => HedgerowError;
}

const CONTENT_TYPE = /^application\/grpc(\+proto)?$/;
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  ...{ H: 3_600_000, M: 60_000, S: 1_000 },
  ...{ m: 1, u: 1e-3, n: 1e-6 },
};

/** Whether `serveGrpcStream` speaks this. What is in any way unusual is left to Connect's own handlers. */
export function isPlainGrpc({ method, headers, authority }: Http2ServerRequest): boolean {
  const encoding = headers["grpc-encoding"] ?? "identity";
  const timeout = headers["grpc-timeout"];
  return (
    method === "POST" &&
    Boolean(authority) &&
    CONTENT_TYPE.test(headers["content-type"] ?? "") &&
    encoding === "identity" &&
    (timeout === undefined || TIMEOUT.test(String(timeout)))
  );
}

/**
 * Answers a stream in gRPC (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), in a tenth of the steps that Connect's own
 * handlers take for each message. `shutdown` ends it with its reason.
 */
export async function serveGrpcStream(
  spec: StreamSpec,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  shutdown: AbortSignal,
  options: GrpcStreamOptions,
): Promise<void> {
  const { clock, turns, maxBytes, publicError } = options;
  const { method } = spec;
  const { stream } = response;
  // Destroying it would take the answer's way, too.
  const chunks = new Chunks(stream, () => {});
  const gone = new AbortController();
  const context = new StreamContext({
    method,
    protocolName: "grpc",
    url: `http://${request.authority}${request.url}`,
    requestHeader: headersOf(request),
    caller: gone.signal,
    shutdown,
    onShutdown: (reason) => void chunks.throw(reason),
    clock,
    timeoutMs: timeoutOf(request.headers["grpc-timeout"]),
    values: withClientAddress(stream.session?.socket.remoteAddress),
  });
  const isOne = method.methodKind === "server_streaming";
  const whole = isOne ? wholeInTime(method, chunks, { clock, shutdown }) : new UntilGone(chunks);
  const codec = new StreamCodec(method, "proto", options);
  const requests = new StreamRequests<never>(whole, maxBytes, (data) => codec.read(data), turns);
  const run = new StreamRun({ spec, requests, context, turns, publicError });
  let isOver = false;
  const leave = () => {
    if (isOver) return;
    gone.abort(new HedgerowError("canceled", "the caller went away"));
    run.leave();
  };
  stream.once("close", leave);
  if (stream.destroyed) leave();
  const flush = () => codec.sendTo((bytes) => send(response, bytes));
  const opened = run.begun.then(() => {
    if (response.destroyed) return;
    response.writeHead(200, {
      ...Object.fromEntries(context.responseHeader),
      "content-type": "application/grpc+proto",
    });
  });
  const error = await run.into({ opened, add: (given) => codec.add(given), flush });
  await opened;
  isOver = true;
  if (response.destroyed) return;
  void flush(); // ending sends it
  response.addTrailers(Object.fromEntries(statusTrailer(context.responseTrailer, error)));
  response.end();
}

/** Gives something to await when the connection should have no more. */
function send(response: Http2ServerResponse, bytes: Uint8Array): Promise<void> | undefined {
  if (response.destroyed || response.write(Buffer.from(bytes))) return undefined;
  return new Promise((resolve) => {
    const { stream } = response;
    const done = () => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });
}

function headersOf({ headers }: Http2ServerRequest): Headers {
  const given = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    for (const one of Array.isArray(value) ? value : [value]) given.append(name, one);
  }
  return given;
}

function timeoutOf(given: string | string[] | undefined): number | undefined {
  if (given === undefined) return undefined;
  const [, digits, unit = ""] = TIMEOUT.exec(String(given)) ?? [];
  return Math.min(Number(digits) * (UNIT_MS[unit] ?? 0), MAX_STREAM_TIMEOUT_MS);
}
