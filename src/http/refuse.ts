import { endStreamToJson } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { HedgerowError } from "../errors.ts";
import { END_OF_STREAM_FLAG, envelope } from "../rpc/envelopes.ts";
import { errorResponse, toConnectError } from "../rpc/errors.ts";
import { statusOf } from "./failure.ts";
import { line } from "./respond.ts";

/** The error in the words of whatever protocol the request speaks; a line of plain text for people. */
export function refuse(request: Request, error: HedgerowError): Response {
  const contentType = request.headers.get("content-type") ?? "";
  if (contentType.startsWith("application/grpc")) return trailersOnly(contentType, error);
  if (contentType.startsWith("application/connect+")) return endOfStream(contentType, error);
  const { pathname } = new URL(request.url);
  const response = pathname.startsWith("/hedgerow.")
    ? errorResponse(error)
    : line(statusOf(error), error.message);
  if (error.code === "unauthenticated") {
    response.headers.set("www-authenticate", 'Bearer realm="hedgerow"');
  }
  return response;
}

/** Clients of gRPC and gRPC-Web look for the error in headers of a response without a body. */
function trailersOnly(contentType: string, error: HedgerowError): Response {
  const headers = setTrailerStatus(new Headers(), toConnectError(error));
  headers.set("content-type", contentType);
  return new Response(null, { headers });
}

function endOfStream(contentType: string, error: HedgerowError): Response {
  const end = endStreamToJson(new Headers(), toConnectError(error), undefined);
  const body = envelope(Buffer.from(JSON.stringify(end)));
  body[0] = END_OF_STREAM_FLAG;
  return new Response(body, { headers: { "content-type": contentType } });
}
