import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { envelope } from "./envelopes.ts";
import { detailed } from "./errors.ts";

const HEADER_BYTES = 5;

/**
 * The answer to a unary call in gRPC-Web. What Connect itself refuses, before any handler has it, gets our detail, too:
 * it stands in the frame that ends the body.
 */
export function withDetail(response: UniversalServerResponse): UniversalServerResponse {
  const { body, header } = response;
  const isWeb = header?.get("content-type")?.startsWith("application/grpc-web") === true;
  if (!isWeb || body === undefined || body === null) return response;
  return { ...response, body: framesOf(body) };
}

async function* framesOf(frames: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  for await (const frame of frames) {
    yield ((frame[0] ?? 0) & trailerFlag) === 0 ? frame : lastFrame(frame);
  }
}

function lastFrame(frame: Uint8Array): Uint8Array {
  const trailer = trailerParse(frame.subarray(HEADER_BYTES));
  const error = findTrailerError(trailer);
  if (error === undefined) return frame;
  const rewritten = envelope(trailerSerialize(setTrailerStatus(trailer, detailed(error))));
  rewritten[0] = trailerFlag;
  return rewritten;
}
