import type { DescMethodUnary } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import { peerPathOf } from "./base-route.ts";
import { batchRoute } from "./batch.ts";
import { errorResponse } from "./errors.ts";
import type { ConnectHandlers } from "./handlers.ts";
import { LABEL_HEADER, labelToHeader } from "./label.ts";
import type { PeerRoute, StreamRoute } from "./port.ts";
import { type IdleControl, noSuchRoute, unaryRoutes } from "./server.ts";
import type { StreamLimits } from "./streams/limits.ts";
import { StreamServer } from "./streams/server.ts";
import { Traffic } from "./traffic.ts";

export interface EndpointOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly routes: readonly PeerRoute[];
  /** Methods that may be called in batches. Default: none. */
  readonly batched?: readonly DescMethodUnary[] | undefined;
  /** The cluster's label: calls that come without it are refused. Default: any are taken. */
  readonly label?: string | undefined;
  /** Streams of other nodes. Default: none. */
  readonly streamRoutes?: readonly StreamRoute[] | undefined;
  readonly streamLimits?: StreamLimits | undefined;
  /** Bytes of a request, and of a reply. Default 4 MiB + 64 KiB. */
  readonly maxCallBytes?: number | undefined;
  /** What Connect's own handlers serve beside them. Default: nothing. */
  readonly generic?: ConnectHandlers | undefined;
  /** Counts what is served. Default: nobody reads it. */
  readonly traffic?: Traffic | undefined;
}

/** Where no server stands behind, nothing closes quiet connections. */
export const NO_IDLE_LIMIT: IdleControl = { timeout() {} };

/** What a node answers to its peers, whatever brings their requests: its listener, another server, its own process. */
export class PeerEndpoint {
  readonly #answer: (request: Request, server: IdleControl) => Response | Promise<Response>;
  readonly #streams: StreamServer;
  #stopped = false;

  constructor(private readonly options: EndpointOptions) {
    const { clock, logger, routes, batched = [], generic, traffic = new Traffic() } = options;
    const shared = { clock, logger, traffic };
    const inBatches = routes.filter(({ method }) => batched.includes(method));
    const unary = unaryRoutes({
      ...shared,
      routes,
      pathOf: peerPathOf,
      byteRoutes: [batchRoute(inBatches, shared)],
      ...(generic && { next: generic.handle }),
      ...(options.maxCallBytes !== undefined && { maxBytes: options.maxCallBytes }),
    });
    const { streamRoutes = [], streamLimits: limits } = options;
    const streams = new StreamServer({ ...shared, routes: streamRoutes, limits });
    this.#streams = streams;
    const foreign = foreignTo(options.label, traffic);
    this.#answer = (request, server) =>
      foreign(request) ??
      unary(request, server) ??
      streams.handle(request, server) ??
      generic?.handle(request, server) ??
      noSuchRoute(request);
  }

  readonly fetch = (
    request: Request,
    server: IdleControl = NO_IDLE_LIMIT,
  ): Response | Promise<Response> => {
    if (this.#stopped) return errorResponse(new HedgerowError("stopped", "the node has stopped"));
    return this.#answer(request, server);
  };

  /** Ends streams; calls under way go on. */
  endStreams(): void {
    this.options.generic?.stop();
    this.#streams.stop();
  }

  /** The same, and refuses with `stopped` what comes from now on. */
  stop(): void {
    this.#stopped = true;
    this.endStreams();
  }
}

/** Refuses what comes from nodes of another cluster than `label`. */
function foreignTo(
  label: string | undefined,
  traffic: Traffic,
): (request: Request) => Response | undefined {
  if (label === undefined) return () => undefined;
  const expected = labelToHeader(label);
  const refusal = new HedgerowError(
    "other_cluster",
    `this is a node of ${label}, and the caller is not`,
  );
  return ({ headers }) => {
    if (headers.get(LABEL_HEADER) === expected) return undefined;
    traffic.strangers++;
    return errorResponse(refusal);
  };
}
