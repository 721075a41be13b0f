import type { DescMethodUnary } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { batchRoute } from "./batch.ts";
import type { ConnectHandlers } from "./handlers.ts";
import type { PeerRoute, StreamRoute } from "./port.ts";
import { errorResponse } from "./errors.ts";
import { LABEL_HEADER, labelToHeader } from "./label.ts";
import { RenewableServer } from "./renewable.ts";
import { noSuchRoute, unaryRoutes } from "./server.ts";
import type { StreamLimits } from "./streams/limits.ts";
import { StreamServer } from "./streams/server.ts";
import { serverTls, type TlsMaterial } from "./tls.ts";
import { Traffic } from "./traffic.ts";

export interface PeerListenerOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Name or address to bind; "" for all interfaces. */
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** null: plain text. */
  readonly tls: TlsMaterial | null;
  readonly routes: readonly PeerRoute[];
  /** Methods that may be called in batches. Default: none. */
  readonly batched?: readonly DescMethodUnary[] | undefined;
  /** The cluster's label: calls that come without it are refused. Default: any are taken. */
  readonly label?: string | undefined;
  /** Streams of other nodes. Default: none. */
  readonly streamRoutes?: readonly StreamRoute[] | undefined;
  readonly streamLimits?: StreamLimits | undefined;
  /** What Connect's own handlers serve beside them. Default: nothing. */
  readonly generic?: ConnectHandlers | undefined;
  /** Counts what is served. Default: nobody reads it. */
  readonly traffic?: Traffic | undefined;
  /** Milliseconds that `stop` lets calls under way finish. Default 2,000. */
  readonly graceMs?: number | undefined;
}

const DEFAULT_GRACE_MS = 2_000;

/** Binds the peer listener. Throws a HedgerowError of one line that says how to mend it. */
export function startPeerListener(options: PeerListenerOptions): PeerListener {
  return new PeerListener(options);
}

export class PeerListener {
  readonly port: number;
  readonly #streams: StreamServer;
  readonly #server: RenewableServer;

  constructor(private readonly options: PeerListenerOptions) {
    const { routes, batched = [], generic, runtime, logger, traffic = new Traffic() } = options;
    const { host, port, tls } = options;
    const shared = { clock: runtime.clock, logger, traffic };
    const inBatches = routes.filter(({ method }) => batched.includes(method));
    const unary = unaryRoutes({
      ...shared,
      routes,
      byteRoutes: [batchRoute(inBatches, shared)],
      ...(generic && { next: generic.handle }),
    });
    const { streamRoutes = [], streamLimits: limits } = options;
    const streams = new StreamServer({ ...shared, routes: streamRoutes, limits });
    this.#streams = streams;
    const foreign = foreignTo(options.label, traffic);
    this.#server = new RenewableServer({
      host,
      port,
      tls: tls === null ? undefined : serverTls(tls),
      fetch: (request, server) =>
        foreign(request) ??
        unary(request, server) ??
        streams.handle(request, server) ??
        generic?.handle(request, server) ??
        noSuchRoute(request),
    });
    this.port = this.#server.port;
  }

  /** As `RenewableServer.renew`. */
  renew(tls: TlsMaterial): void {
    this.#server.renew(serverTls(tls));
  }

  /** Refuses new calls, ends streams, lets calls finish within the grace, then cuts them off. Idempotent. */
  stop(): Promise<void> {
    const { runtime, generic, graceMs = DEFAULT_GRACE_MS } = this.options;
    generic?.stop();
    this.#streams.stop();
    return this.#server.stop(runtime.clock, graceMs);
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
