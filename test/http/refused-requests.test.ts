import { expect, test } from "bun:test";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import type { ConnectError } from "@connectrpc/connect";
import { END_OF_STREAM_FLAG, EnvelopeReader, envelope } from "../../src/rpc/envelopes.ts";
import { errorFromResponse, fromConnectError } from "../../src/rpc/errors.ts";
import { appKit } from "./app-kit.ts";

// C6: whatever the protocol, a request that cannot be read, or is too large, is told as that, with our own code.

/** The error in the frame that ends the body. */
function errorIn(body: Uint8Array): ConnectError | undefined {
  const reader = new EnvelopeReader(1_000_000);
  reader.push(body);
  for (let frame = reader.next(); frame !== null; frame = reader.next()) {
    if (frame.flags === END_OF_STREAM_FLAG) return endStreamFromJson(frame.data).error;
    if (frame.flags === trailerFlag) return findTrailerError(trailerParse(frame.data));
  }
  return undefined;
}

async function failureOf(method: string, type: string, body: Uint8Array<ArrayBuffer>) {
  const { ask, logged } = appKit();
  const response = await ask(`/hedgerow.v1.HedgerowService/${method}`, {
    method: "POST",
    headers: { "content-type": type },
    body,
  });
  const answer = await response.bytes();
  expect(logged.filter((line) => !line.startsWith("http request"))).toEqual([]);
  if (response.status !== 200) {
    return errorFromResponse(response.status, response.headers, answer);
  }
  const error = errorIn(answer);
  expect(error?.details).toHaveLength(1);
  return error && fromConnectError(error);
}

/** Field 1, a text of 200 bytes, of which there is one. */
const MALFORMED = Uint8Array.of(10, 200, 1, 65);

test.each([
  ["Put", "application/proto"],
  ["Put", "application/grpc-web+proto"],
  ["Broadcast", "application/grpc-web+proto"],
  ["Broadcast", "application/connect+proto"],
])("%s in %s", async (method, type) => {
  const framed = (message: Uint8Array<ArrayBuffer>) =>
    type === "application/proto" ? message : envelope(message);
  expect((await failureOf(method, type, framed(MALFORMED)))?.code).toBe("invalid_argument");
  const large = new Uint8Array(20_000_000);
  expect((await failureOf(method, type, framed(large)))?.code).toBe("too_large");
});
