import type { ContextValues } from "@connectrpc/connect";
import { endStreamToJson } from "@connectrpc/connect/protocol-connect";
import type { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import { chunksOf } from "./chunks.ts";
import { DirectAnswer } from "./direct-answer.ts";
import { END_OF_STREAM_FLAG, envelope } from "./envelopes.ts";
import { toConnectError } from "./errors.ts";
import { MAX_STREAM_TIMEOUT_MS } from "./limits.ts";
import type { MessageWires } from "./message-wire.ts";
import type { Format, IdleControl } from "./server.ts";
import { StreamCodec } from "./stream-codec.ts";
import { StreamContext } from "./stream-context.ts";
import { StreamRequests } from "./stream-requests.ts";
import { StreamRun, type StreamSpec } from "./stream-run.ts";
import type { Turns } from "./turns.ts";
import { UntilGone, wholeInTime } from "./whole-request.ts";

export interface StreamRoutesOptions {
  readonly clock: Clock;
  /** Of all streams of the listener. */
  readonly turns: Turns;
  /** Of one message, in either direction. */
  readonly maxBytes: number;
  /** Ends calls with its reason. */
  readonly shutdown: AbortSignal;
  /** The same for this one, in place of `shutdown`. */
  readonly endOf?: ((request: Request) => AbortSignal) | undefined;
  readonly contextOf?: ((request: Request, server: IdleControl) => ContextValues) | undefined;
  /** What a caller sees of an error. */
  readonly publicError: (error: unknown, method: string) => HedgerowError;
  readonly wires: MessageWires;
}

const CONTENT_TYPE = /^application\/connect\+(proto|json)$/;
const utf8 = new TextEncoder();
const TIMEOUT = /^\d{1,10}$/;

/**
 * Answers a stream in Connect's protocol (connectrpc.com/docs/protocol), in a tenth of the steps that Connect's own
 * handlers take for each message. Undefined for requests that are in any way unusual: those have them.
 */
export function serveStream(
  spec: StreamSpec,
  request: Request,
  server: IdleControl,
  options: StreamRoutesOptions,
): Promise<Response> | undefined {
  const { headers, body } = request;
  if (request.method !== "POST" || body === null) return undefined;
  const contentType = headers.get("content-type") ?? "";
  const format = CONTENT_TYPE.exec(contentType)?.[1];
  if (format === undefined || headers.has("connect-content-encoding")) return undefined;
  const timeout = headers.get("connect-timeout-ms");
  if (timeout !== null && !TIMEOUT.test(timeout)) return undefined;
  const { contextOf, clock, turns, maxBytes, publicError } = options;
  const shutdown = options.endOf?.(request) ?? options.shutdown;
  const { method } = spec;
  const chunks = chunksOf(body, method.methodKind === "client_streaming" ? "large" : "small");
  const context = new StreamContext({
    method,
    protocolName: "connect",
    url: request.url,
    requestHeader: headers,
    caller: request.signal,
    shutdown,
    onShutdown: (reason) => void chunks.throw(reason),
    clock,
    timeoutMs: timeout === null ? undefined : Math.min(Number(timeout), MAX_STREAM_TIMEOUT_MS),
    values: contextOf?.(request, server),
  });
  // Streams may be quiet for as long as they like.
  const onWhole = () => server.timeout(request, 0);
  const isOne = method.methodKind === "server_streaming";
  if (!isOne) onWhole();
  const whole = isOne
    ? wholeInTime(method, chunks, { clock, shutdown, onWhole })
    : new UntilGone(chunks);
  const codec = new StreamCodec(method, format as Format, options);
  const requests = new StreamRequests<never>(whole, maxBytes, (data) => codec.read(data), turns);
  const run = new StreamRun({ spec, requests, context, turns, publicError });
  return answer(run, context, codec, format);
}

async function answer(
  run: StreamRun,
  context: StreamContext,
  codec: StreamCodec,
  format: string,
): Promise<Response> {
  const direct = new DirectAnswer(() => run.leave());
  const send = (bytes: Uint8Array) => direct.write(bytes);
  const sink = {
    opened: direct.opened,
    add: (given: never) => codec.add(given),
    flush: () => codec.sendTo(send),
  };
  void run.into(sink).then(async (error) => {
    await direct.opened;
    void codec.sendTo(send);
    void direct.write(endOf(context, error)); // closing sends it
    direct.close();
  });
  await run.begun;
  const headers = context.responseHeader;
  headers.set("content-type", `application/connect+${format}`);
  return new Response(direct.body, { headers });
}

function endOf({ responseTrailer }: StreamContext, error: HedgerowError | undefined): Uint8Array {
  const end = endStreamToJson(responseTrailer, error && toConnectError(error), undefined);
  const bytes = envelope(utf8.encode(JSON.stringify(end)));
  bytes[0] = END_OF_STREAM_FLAG;
  return bytes;
}
