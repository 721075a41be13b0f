import type { ConnectError } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { HedgerowError } from "../../errors.ts";
import { detailed, toConnectError } from "../../rpc/errors.ts";

/**
 * An error as the whole answer. The protocol lets it stand in the headers if they end the stream, but what node:http2
 * sends of those are headers that do not.
 */
export function refused(error: HedgerowError) {
  const header = new Headers({ "content-type": "application/grpc" });
  const trailer = new Headers();
  setStatus(trailer, toConnectError(error));
  return { status: 200, header, trailer };
}

/** What ends an answer: the handler's trailers, and how it went. */
export function statusTrailer(given: Headers, error: HedgerowError | undefined): Headers {
  const trailer = new Headers(given);
  if (error === undefined) trailer.set("grpc-status", "0");
  else setStatus(trailer, toConnectError(error));
  return trailer;
}

/** Connect's answer with the status that clients of other makers read, and with our detail in every error. */
export function withStatus(response: UniversalServerResponse): UniversalServerResponse {
  const { body, trailer } = response;
  if (body === undefined || body === null || trailer === undefined) return response;
  return { ...response, body: thenStatus(body, trailer) };
}

/**
 * Trailers are complete once the body has ended, and sent after that. No `yield*`: it would throw into the handler
 * what Connect throws here when a caller has gone and nothing can be written, as if it were the handler's own defect.
 */
async function* thenStatus(body: AsyncIterable<Uint8Array>, trailer: Headers) {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    if (!(error instanceof HedgerowError)) throw error;
    return setStatus(trailer, toConnectError(error)); // of the room for it
  }
  const error = findTrailerError(trailer);
  if (error === undefined) return;
  setStatus(trailer, detailed(error));
}

/**
 * Connect escapes more of a message than gRPC's protocol says (PROTOCOL-HTTP2.md: all but printable ASCII, and %),
 * which grpc-js does not undo.
 */
function setStatus(target: Headers, error: ConnectError): void {
  setTrailerStatus(target, error);
  const message = error.rawMessage.toWellFormed();
  target.set("grpc-message", message.replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent));
}
