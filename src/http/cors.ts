import { cors as connectCors } from "@connectrpc/connect";

const PREFLIGHT_MAX_AGE_S = 7200;
/** What Connect and gRPC-Web send, and a token. */
const ALLOWED_HEADERS = [...connectCors.allowedHeaders, "Authorization"];

/** The answer to the question of a listed origin's page whether it may send the request it has in mind. */
export function isPreflight(request: Request): boolean {
  return (
    request.method === "OPTIONS" &&
    request.headers.has("origin") &&
    request.headers.has("access-control-request-method")
  );
}

export function preflight(origin: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": origin,
      "access-control-allow-methods": connectCors.allowedMethods.join(", "),
      "access-control-allow-headers": ALLOWED_HEADERS.join(", "),
      "access-control-max-age": String(PREFLIGHT_MAX_AGE_S),
      vary: "Origin",
    },
  });
}

/** Lets pages of `origin` read the response, and the headers that Connect and gRPC-Web need. */
export function expose(response: Response, origin: string): void {
  response.headers.set("access-control-allow-origin", origin);
  response.headers.set("access-control-expose-headers", connectCors.exposedHeaders.join(", "));
  response.headers.append("vary", "Origin");
}
