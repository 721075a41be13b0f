import type {
  DescMessage,
  DescMethodStreaming,
  DescMethodUnary,
  MessageInitShape,
} from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { trailerDemux } from "@connectrpc/connect/protocol-connect";
import { HedgerowError } from "../errors.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { readBody } from "./body.ts";
import { decode, encode } from "./codec.ts";
import { errorFromFetch, errorFromResponse, toConnectError } from "./errors.ts";
import { DEFAULT_TIMEOUT_MS, MAX_CALL_BYTES, MAX_STREAM_TIMEOUT_MS } from "./limits.ts";
import { pathOf } from "./server.ts";
import { messagesOf, streamOf } from "./streaming.ts";
import { clientTls, type TlsMaterial } from "./tls.ts";

export interface TransportOptions {
  readonly clock: Clock;
  /** As in `http://127.0.0.1:9090`. */
  readonly baseUrl: string;
  /** Milliseconds until a call fails that names no time-out of its own. Default 10,000. */
  readonly timeoutMs?: number;
  /** Of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whose certificates are good for https, without `tls`. Default: those of the well-known authorities. */
  readonly trust?: Pick<Bun.TLSOptions, "ca" | "rejectUnauthorized">;
  /** For the peer listener. Default: none, trusting the well-known authorities for https. */
  readonly tls?: () => TlsMaterial | null;
  /** Bytes of one message. Default 4 MiB + 64 KiB. */
  readonly maxBytes?: number;
  /** Milliseconds past its deadline that a call waits for what the server says of its end. Default 0. */
  readonly graceMs?: number;
  /** Goes around the proxy that the environment may name. Default false. */
  readonly direct?: boolean;
}

/**
 * A Transport for Connect's clients on Bun's fetch: unary calls and all kinds of streams, full duplex,
 * with back-pressure both ways. Every call has a deadline, streams included. Its ConnectErrors carry the
 * HedgerowError, see `fromConnectError`.
 */
export function createTransport(options: TransportOptions): Transport {
  return new FetchTransport(options);
}

class FetchTransport implements Transport {
  readonly #maxBytes: number;
  readonly #graceMs: number;

  constructor(private readonly options: TransportOptions) {
    this.#maxBytes = options.maxBytes ?? MAX_CALL_BYTES;
    this.#graceMs = options.graceMs ?? 0;
  }

  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    given: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    using operation = this.#begin(method, signal, timeoutMs);
    try {
      const response = await this.#post(method, "application/proto", given, operation, {
        body: encode(method.input, input),
      });
      const body = await readBody(response, "reply", this.#maxBytes);
      if (!isAnswer(response, "application/proto")) throw refused(response, body);
      const [header, trailer] = trailerDemux(response.headers);
      const message = decode(method.output, body);
      return { stream: false, service: method.parent, method, header, trailer, message };
    } catch (error) {
      throw this.#failure(operation, error);
    }
  }

  async stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    given: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const ended = new AbortController();
    const operation = this.#begin(method, signal, timeoutMs);
    try {
      const response = await this.#post(method, "application/connect+proto", given, operation, {
        body: streamOf(method.input, input),
        duplex: "half",
        timeout: false, // fetch's own, for quiet connections: a stream may be quiet
        signal: AbortSignal.any([operation.signal, ended.signal]),
      });
      if (response.body === null || !isAnswer(response, "application/connect+proto")) {
        throw refused(response, await readBody(response, "reply", this.#maxBytes));
      }
      const trailer = new Headers();
      const message = messagesOf(method.output, response.body, {
        trailer,
        maxBytes: this.#maxBytes,
        failure: (error) => this.#failure(operation, error),
        end: () => {
          operation[Symbol.dispose]();
          ended.abort(); // stops the input, if the other side ended first
        },
      });
      const header = response.headers;
      return { stream: true, service: method.parent, method, header, trailer, message };
    } catch (error) {
      operation[Symbol.dispose]();
      throw this.#failure(operation, error);
    }
  }

  #begin(
    method: DescMethodUnary | DescMethodStreaming,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Operation {
    const wanted = timeoutMs ?? this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const limits = { signal, timeoutMs: Math.min(wanted, MAX_STREAM_TIMEOUT_MS) + this.#graceMs };
    return new Operation(this.options.clock, method.name, limits, DEFAULT_TIMEOUT_MS);
  }

  #post(
    method: DescMethodUnary | DescMethodStreaming,
    contentType: string,
    given: HeadersInit | undefined,
    operation: Operation,
    init: BunFetchRequestInit & { duplex?: "half" },
  ): Promise<Response> {
    operation.check();
    const headers = new Headers(this.options.headers);
    for (const [name, value] of new Headers(given)) headers.set(name, value);
    headers.set("content-type", contentType);
    headers.set("connect-protocol-version", "1");
    const serverMs = operation.remainingMs() - this.#graceMs;
    headers.set("connect-timeout-ms", String(Math.max(1, Math.ceil(serverMs))));
    const material = this.options.tls?.() ?? null;
    return fetch(this.options.baseUrl.replace(/\/$/, "") + pathOf(method), {
      method: "POST",
      headers,
      redirect: "manual",
      signal: operation.signal,
      ...(this.options.direct === true && { proxy: false }),
      ...(this.options.trust !== undefined && { tls: this.options.trust }),
      ...(material !== null && { tls: clientTls(material), protocol: "http2", proxy: false }),
      ...init,
    });
  }

  /** The operation's own end comes before whatever fetch made of it. */
  #failure(operation: Operation, error: unknown): Error {
    if (operation.signal.aborted) return toConnectError(operation.signal.reason as HedgerowError);
    return toConnectError(errorFromFetch(error, this.options.baseUrl));
  }
}

function isAnswer(response: Response, contentType: string): boolean {
  return response.status === 200 && response.headers.get("content-type") === contentType;
}

function refused(response: Response, body: Uint8Array): HedgerowError {
  if (response.status !== 200) return errorFromResponse(response.status, response.headers, body);
  return new HedgerowError("outcome_unknown", "what answered does not speak Connect");
}
