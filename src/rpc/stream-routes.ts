import { type DescMessage, type MessageInitShape, toJsonString } from "@bufbuild/protobuf";
import {
  type ContextValues,
  createHandlerContext,
  type HandlerContext,
  type MethodImplSpec,
} from "@connectrpc/connect";
import { endStreamToJson } from "@connectrpc/connect/protocol-connect";
import { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import { type AnswerSource, BatchedAnswer } from "./batched-answer.ts";
import { chunksOf } from "./chunks.ts";
import { decode, decodeJson, encode, messageFrom } from "./codec.ts";
import { COMPRESSED_FLAG, END_OF_STREAM_FLAG, EnvelopeReader, envelope } from "./envelopes.ts";
import { behind, toConnectError } from "./errors.ts";
import { MAX_STREAM_TIMEOUT_MS } from "./limits.ts";
import { type Format, type IdleControl, replyTooLarge } from "./server.ts";
import { wholeInTime } from "./whole-request.ts";

export interface StreamRoutesOptions {
  readonly clock: Clock;
  /** Of one message, in either direction. */
  readonly maxBytes: number;
  /** Ends calls with its reason. */
  readonly shutdown: AbortSignal;
  /** The same for this one, in place of `shutdown`. */
  readonly endOf?: ((request: Request) => AbortSignal) | undefined;
  readonly contextOf?: ((request: Request, server: IdleControl) => ContextValues) | undefined;
  /** What a caller sees of an error. */
  readonly publicError: (error: unknown, method: string) => HedgerowError;
}

/** A method that has a stream on one side or both. */
export type StreamSpec = Exclude<MethodImplSpec, { kind: "unary" }>;

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
  const format = CONTENT_TYPE.exec(headers.get("content-type") ?? "")?.[1];
  if (format === undefined || headers.has("connect-content-encoding")) return undefined;
  const timeout = headers.get("connect-timeout-ms");
  if (timeout !== null && !TIMEOUT.test(timeout)) return undefined;
  const timeoutMs = timeout === null ? null : Math.min(Number(timeout), MAX_STREAM_TIMEOUT_MS);
  const { contextOf, clock } = options;
  const shutdown = options.endOf?.(request) ?? options.shutdown;
  const { method } = spec;
  const contextValues = contextOf?.(request, server);
  const context = createHandlerContext({
    service: method.parent,
    method,
    protocolName: "connect",
    requestMethod: request.method,
    url: request.url,
    requestHeader: headers,
    requestSignal: request.signal,
    responseHeader: { "content-type": `application/connect+${format}` },
    shutdownSignal: shutdown,
    ...(timeoutMs !== null && { timeoutMs }),
    ...(contextValues && { contextValues }),
  });
  // Streams may be quiet for as long as they like.
  const onWhole = () => server.timeout(request, 0);
  const chunks = wholeInTime(method, chunksOf(body), { clock, shutdown, onWhole });
  return answer(new ServedStream(spec, format as Format, chunks, context, options), clock, context);
}

async function answer(source: AnswerSource, clock: Clock, context: HandlerContext) {
  const { begun, body } = new BatchedAnswer(source, clock);
  await begun; // until then a handler may set headers
  return new Response(body, { headers: context.responseHeader });
}

class ServedStream implements AnswerSource {
  readonly #json: boolean;
  #answers: AsyncIterator<MessageInitShape<DescMessage>> | null = null;
  #over = false;

  constructor(
    private readonly spec: StreamSpec,
    format: Format,
    private readonly chunks: AsyncIterable<Uint8Array>,
    private readonly context: ReturnType<typeof createHandlerContext>,
    private readonly options: StreamRoutesOptions,
  ) {
    this.#json = format === "json";
  }

  async next(): Promise<Uint8Array | null> {
    if (this.#over) return null;
    try {
      this.#answers ??= this.#begin();
      const { done, value } = await this.#answers.next();
      return done === true ? this.#end() : this.#envelope(value);
    } catch (error) {
      const cause = behind(error, this.context.signal);
      const seen = this.options.publicError(cause, this.spec.method.name);
      this.#answers?.return?.().catch(() => {}); // its outcome has no reader
      return this.#end(seen);
    }
  }

  leave(): void {
    this.#over = true;
    this.context.abort();
    this.#answers?.return?.().catch(() => {}); // its outcome has no reader
  }

  #begin() {
    return answersOf(this.spec, this.#requests(), this.context)[Symbol.asyncIterator]();
  }

  #envelope(given: MessageInitShape<DescMessage>): Uint8Array {
    const { output } = this.spec.method;
    const data = this.#json
      ? utf8.encode(toJsonString(output, messageFrom(output, given)))
      : encode(output, given);
    if (data.length > this.options.maxBytes) throw replyTooLarge(this.options.maxBytes);
    return envelope(data);
  }

  #end(error?: HedgerowError): Uint8Array {
    this.#over = true;
    const shown = error && toConnectError(error);
    this.context.abort(shown);
    const end = endStreamToJson(this.context.responseTrailer, shown, undefined);
    const bytes = envelope(utf8.encode(JSON.stringify(end)));
    bytes[0] = END_OF_STREAM_FLAG;
    return bytes;
  }

  async *#requests(): AsyncGenerator<never, void, undefined> {
    const { input } = this.spec.method;
    const read = this.#json ? decodeJson : decode;
    const reader = new EnvelopeReader(this.options.maxBytes);
    for await (const chunk of this.chunks) {
      reader.push(chunk);
      for (let next = reader.next(); next !== null; next = reader.next()) {
        if (next.flags & COMPRESSED_FLAG) throw malformed("a message is compressed");
        if (next.flags & END_OF_STREAM_FLAG) throw malformed("only answers have an end of stream");
        yield read(input, next.data) as never;
      }
    }
    if (!reader.empty) throw malformed("it ends within a message");
  }
}

function answersOf(
  spec: StreamSpec,
  requests: AsyncIterable<never>,
  context: HandlerContext,
): AsyncIterable<MessageInitShape<DescMessage>> {
  switch (spec.kind) {
    case "bidi_streaming":
      return spec.impl(requests, context);
    case "server_streaming":
      return answersToOne(spec, requests, context);
    case "client_streaming":
      return oneAnswer(spec, requests, context);
  }
}

async function* answersToOne(
  { impl, method }: Extract<StreamSpec, { kind: "server_streaming" }>,
  requests: AsyncIterable<never>,
  context: HandlerContext,
) {
  let request: never | null = null;
  for await (const next of requests) {
    if (request !== null) throw malformed(`${method.name} takes one message`);
    request = next;
  }
  if (request === null) throw malformed(`${method.name} takes a message`);
  yield* impl(request, context);
}

async function* oneAnswer(
  { impl }: Extract<StreamSpec, { kind: "client_streaming" }>,
  requests: AsyncIterable<never>,
  context: HandlerContext,
) {
  yield await impl(requests, context);
}

function malformed(what: string): HedgerowError {
  return new HedgerowError("invalid_argument", `the request is malformed: ${what}`);
}
