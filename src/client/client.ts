import type { DescMethod } from "@bufbuild/protobuf";
import { type CallOptions, type Client, makeAnyClient } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { HedgerowService } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { webRuntime } from "../runtime/web.ts";
import { Calls } from "./calls.ts";
import { checkClientOptions, type ClientOptions } from "./options.ts";

/** The methods of the client API, each as (request, options): a promise, or an async iterable of its messages. */
export type HedgerowClient = Client<typeof HedgerowService>;

/**
 * A client of the client API, for browsers, Node, Deno and Bun. Errors are HedgerowErrors. Leaving a stream, by
 * `break` or `return`, ends it. Streams that the caller writes, too, need a fetch that streams its request: browsers
 * have none over HTTP/1.1. Throws `invalid_argument` for options.
 */
export function createClient(options: ClientOptions): HedgerowClient {
  const calls = new Calls(checkClientOptions(options), webRuntime());
  return makeAnyClient(HedgerowService, (method) => functionOf(calls, method)) as HedgerowClient;
}

function functionOf(calls: Calls, method: DescMethod) {
  // biome-ignore lint/suspicious/noExplicitAny: the type of HedgerowClient says what each method takes.
  return (request: any, options: CallOptions = {}) => {
    switch (method.methodKind) {
      case "unary":
        return calls.unary(method as never, request, options);
      case "server_streaming":
        return calls.stream(method as never, [request] as never, options);
      case "bidi_streaming":
        return calls.stream(method as never, request, options);
      case "client_streaming":
        return onlyOne(calls.stream(method as never, request, options));
    }
  };
}

async function onlyOne<T>(messages: AsyncIterable<T>): Promise<T> {
  for await (const message of messages) return message;
  throw new HedgerowError("outcome_unknown", "the stream ended without an answer");
}
