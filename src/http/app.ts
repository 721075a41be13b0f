import { Hono } from "hono";
import type { HedgerowNode } from "../node/api.ts";
import type { Logger } from "../observe/logger.ts";
import { pathOfUrl } from "../rpc/base-route.ts";
import { connectHandlers } from "../rpc/handlers.ts";
import { DEFAULT_TIMEOUT_MS } from "../rpc/limits.ts";
import { type IdleControl, noSuchRoute, unaryRoutes } from "../rpc/server.ts";
import type { Clock } from "../runtime/runtime.ts";
import { MAX_MESSAGE_BYTES } from "../store/limits.ts";
import { accessRefusal, type Tokens } from "./access.ts";
import { withClientAddress } from "./client-address.ts";
import type { ClientApi } from "./client-api.ts";
import { expose, isPreflight, preflight } from "./cors.ts";
import { demoRoutes } from "./demo.ts";
import { failure } from "./failure.ts";
import { guard, type GuardRules } from "./guard.ts";
import { healthRoutes } from "./health.ts";
import { LateHandlers } from "./late-handlers.ts";
import { apiBytesFor, textBytesFor } from "./limits.ts";
import { wrongMediaType } from "./media-types.ts";
import { metricsPage } from "./metrics.ts";
import { refuse } from "./refuse.ts";
import { mostBytesOf, roomsByAddress } from "./replies.ts";
import { line } from "./respond.ts";
import { StreamEnds } from "./stream-ends.ts";
import { takeUnread } from "./unread.ts";
import { CLIENT_WIRES } from "./wires.ts";

export interface HttpAppOptions {
  readonly node: HedgerowNode;
  readonly api: ClientApi;
  /** The machine's name, as the endpoints' texts say it. */
  readonly hostname: string;
  readonly rules: GuardRules;
  /** Default: nobody is asked for a token. */
  readonly tokens?: Tokens | undefined;
  /** Bytes of a message. Default 4 MiB. */
  readonly maxMessageBytes?: number | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** What the http listener serves: a function of the request, tested through `fetch`. */
export interface HttpApp {
  fetch(request: Request, server?: IdleControl): Response | Promise<Response>;
  /** Ends streams under way, those to come, and requests of which half has come, with `stopped`. */
  stop(): void;
}

const ROUTES =
  "there are /put /get /send /broadcast /streamsend /streambroadcast /sos /livez /readyz /metrics and POST /hedgerow.v1.HedgerowService/METHOD";

/** Calls, for the limit of those that may be under way. */
const DEMO_PATHS = [
  ...["/put", "/get", "/send", "/broadcast", "/streamsend", "/streambroadcast", "/sos"],
];

/** Those of them whose replies may be large. */
const BULKY_PATHS = ["/get", "/send", "/broadcast"];

/** Of tools and balancers, by the names that gRPC gave them. */
const TOOLS = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

interface Env {
  Bindings: IdleControl;
}

export function createHttpApp(options: HttpAppOptions): HttpApp {
  const { node, api, logger, clock, rules, tokens = null } = options;
  const app = new Hono<Env>();
  const { maxMessageBytes = MAX_MESSAGE_BYTES } = options;
  const ends = new StreamEnds(tokens);
  const shutdown = ends.stopped;
  const shared = {
    logger,
    clock,
    maxBytes: apiBytesFor(maxMessageBytes),
    wires: CLIENT_WIRES,
    contextOf: (request: Request, server: IdleControl) =>
      withClientAddress(server.requestIP?.(request)?.address),
    roomOf: roomsByAddress(api.unsent),
    endOf: ({ headers, url }: Request) =>
      ends.signalFor({ path: pathOfUrl(url), authorization: headers.get("authorization") }),
  };
  const generic = connectHandlers(api.register, shared);
  const unary = unaryRoutes({
    ...shared,
    routes: api.routes,
    next: generic.handle,
    shutdown,
  });
  const tools = new LateHandlers(async () => {
    const { registerTools } = await import("./grpc/tools.ts");
    return (router) => registerTools(router, node, clock);
  }, shared);

  app.use(async (c, next) => {
    const started = clock.now();
    await next();
    await takeUnread(c.req.raw, clock, shutdown);
    // Neither bodies nor queries: values are never logged.
    logger.debug("http request", {
      method: c.req.method,
      path: c.req.path,
      status: c.res.status,
      ms: Math.round(clock.now() - started),
    });
  });

  app.use(async (c, next) => {
    const { headers, url } = c.req.raw;
    const origin = headers.get("origin");
    const refusal = guard(rules, {
      host: headers.get("host") ?? new URL(url).host,
      origin,
      site: headers.get("sec-fetch-site"),
    });
    if (refusal !== null) return line(refusal.status, refusal.reason);
    const listed = origin !== null && rules.origins.includes(origin);
    if (listed && isPreflight(c.req.raw)) return preflight(origin);
    const authorization = headers.get("authorization");
    const denied = accessRefusal(tokens, { path: c.req.path, authorization });
    if (denied === null) await next();
    else c.res = refuse(c.req.raw, denied);
    if (listed) expose(c.res, origin);
    return undefined;
  });

  for (const path of BULKY_PATHS) {
    app.use(path, async (c, next) => {
      const room = shared.roomOf(c.req.raw, c.env);
      try {
        const { signal } = c.req.raw;
        if (path === "/get")
          await room.reserve(mostBytesOf(1), { signal, timeoutMs: DEFAULT_TIMEOUT_MS });
        else room.check();
        await next();
        c.res = new Response(room.bodyOf(await c.res.bytes(), c.req.raw), c.res);
      } catch (error) {
        room.release();
        throw error;
      }
    });
  }
  for (const path of DEMO_PATHS) app.use(path, (_, next) => api.admission.calls.run(next));
  app.route("/", healthRoutes(node, clock));
  app.get("/metrics", () => metricsPage(node));
  const demo = { maxBytes: textBytesFor(maxMessageBytes), shutdown };
  app.route("/", demoRoutes(node, options.hostname, logger, clock, demo));
  app.all("/hedgerow.v1.HedgerowService/*", async (c) => {
    const request = c.req.raw;
    const answer = unary(request, c.env) ?? generic.handle(request, c.env) ?? noSuchRoute(request);
    const response = await answer;
    // Connect's own handlers leave it empty.
    if (response.status !== 415) return response;
    return wrongMediaType(c.req.path, request.headers.get("content-type"));
  });
  for (const service of TOOLS) {
    app.all(`/${service}/*`, (c) => tools.handle(c.req.raw, c.env));
  }
  app.notFound((c) => line(404, `no route ${c.req.path}: ${ROUTES}`));
  app.onError((error) => failure(error, logger, line));
  return {
    fetch: (request, server = NO_IDLE_LIMIT) => app.fetch(request, server),
    stop() {
      ends.stop();
      api.unsent.stop();
      generic.stop();
      tools.stop();
    },
  };
}

/** Where no server stands behind the app, nothing closes quiet connections. */
const NO_IDLE_LIMIT: IdleControl = { timeout() {} };
