import { HedgerowService } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { pathOf } from "../rpc/server.ts";
import { line } from "./respond.ts";

const WEB = ["application/grpc-web+json", "application/grpc-web+proto"];
const UNARY = ["application/json", "application/proto", ...WEB].join(", ");
const STREAM = ["application/connect+json", "application/connect+proto", ...WEB].join(", ");

const STREAMS: ReadonlySet<string> = new Set(
  Object.values(HedgerowService.method)
    .filter(({ methodKind }) => methodKind !== "unary")
    .map(pathOf),
);

/** 415 for a method of the client API, with the content types that it takes. */
export function wrongMediaType(path: string, given: string | null): Response {
  const accepted = STREAMS.has(path) ? STREAM : UNARY;
  const problem = given === null ? "no content-type" : `content-type ${given} is not served here`;
  const response = line(415, `${problem}: send one of ${accepted}`);
  response.headers.set("accept-post", accepted);
  return response;
}
