import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import {
  type UniversalClientRequest,
  type UniversalClientResponse,
  universalClientResponseFromFetch,
} from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { HedgerowError } from "../errors.ts";
import { HedgerowService } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { errorFromFetch, fromConnectError, toConnectError } from "../rpc/errors.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface ConnectionOptions {
  /** As in `http://127.0.0.1:9090`. */
  readonly url: string;
  readonly fetch: Fetch;
  /** Of every request. */
  readonly headers: () => Promise<Headers>;
}

/** Larger than any message that a node takes or gives. */
const MAX_BYTES = 64 * 1024 * 1024;

/** Methods whose requests are a stream. The others' are known whole, as browsers need them. */
const STREAMED_REQUESTS: ReadonlySet<string> = new Set(
  Object.values(HedgerowService.method)
    .filter(({ methodKind }) => /^(client|bidi)_streaming$/.test(methodKind))
    .map(({ name }) => name),
);

/** Connect's protocol to one node, over the platform's fetch. */
export function connectionTo(options: ConnectionOptions): Transport {
  return createTransport({
    baseUrl: options.url,
    httpClient: (request) => exchange(options, request),
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: Number.MAX_SAFE_INTEGER,
    readMaxBytes: MAX_BYTES,
    writeMaxBytes: MAX_BYTES,
  });
}

/** What a call over such a connection threw. */
export function failureOf(thrown: unknown): HedgerowError {
  if (thrown instanceof HedgerowError) return thrown;
  const error = ConnectError.from(thrown);
  const ended = error.code === Code.Canceled || error.code === Code.DeadlineExceeded;
  if (error.isWireError || ended || error.details.length > 0) return fromConnectError(error);
  // Not said by the node: its answer broke off, or cannot be read.
  const message = `the answer did not come whole: ${error.rawMessage}`;
  return new HedgerowError("outcome_unknown", message, { cause: error });
}

async function exchange(
  { url, fetch, headers }: ConnectionOptions,
  request: UniversalClientRequest,
): Promise<UniversalClientResponse> {
  const all = await headers().catch((error) => {
    throw toConnectError(HedgerowError.from(error));
  });
  for (const [name, value] of request.header) all.set(name, value);
  all.delete("user-agent"); // the browser's own; another one would have to be allowed to pages
  const method = request.url.slice(request.url.lastIndexOf("/") + 1);
  const init: RequestInit & { duplex?: "half"; timeout?: boolean } = {
    method: request.method,
    headers: all,
    redirect: "error",
    timeout: false, // Bun's own, for quiet connections: a stream may be quiet
    signal: request.signal ?? null,
    body: null,
  };
  if (request.body !== undefined && STREAMED_REQUESTS.has(method)) {
    init.body = streamOf(request.body);
    init.duplex = "half";
  } else if (request.body !== undefined) {
    init.body = await bytesOf(request.body);
  }
  try {
    return universalClientResponseFromFetch(await fetch(request.url, init));
  } catch (thrown) {
    if (request.signal?.aborted) throw thrown;
    throw toConnectError(errorFromFetch(reasonOf(thrown), url));
  }
}

/** Node wraps what tells why in an error that does not. */
function reasonOf(thrown: unknown): unknown {
  return thrown instanceof TypeError && thrown.cause !== undefined ? thrown.cause : thrown;
}

async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: BlobPart[] = [];
  for await (const chunk of body) chunks.push(chunk as Uint8Array<ArrayBuffer>);
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** The next chunk is asked for when there is room for it. */
function streamOf(body: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await chunks.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
