import type { DescMethodUnary } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { batchRoute } from "./batch.ts";
import { bind, type Server } from "./bind.ts";
import type { ConnectHandlers } from "./handlers.ts";
import type { PeerRoute, StreamRoute } from "./port.ts";
import { errorResponse } from "./errors.ts";
import { LABEL_HEADER, labelToHeader } from "./label.ts";
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
  readonly #answer: (request: Request, server: Server) => Response | Promise<Response>;
  #current: Server | null;
  /** Servers that take no more connections, until their last call is done. */
  readonly #ending = new Map<Server, Promise<void>>();
  #stopped: Promise<void> | null = null;

  constructor(private readonly options: PeerListenerOptions) {
    const { routes, batched = [], generic, runtime, logger, traffic = new Traffic() } = options;
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
    this.#answer = (request, server) =>
      foreign(request) ??
      unary(request, server) ??
      streams.handle(request, server) ??
      generic?.handle(request, server) ??
      noSuchRoute(request);
    this.#current = this.#open(options.port, options.tls);
    this.port = this.#current.port as number;
  }

  /**
   * Shows `tls` to connections made from now on. Calls on those that exist finish, then they are closed;
   * a connection that is just being made may be cut. Throws as binding does, should the port be lost
   * meanwhile: call it again.
   */
  renew(tls: TlsMaterial): void {
    if (this.#stopped !== null) return;
    // Bun.serve cannot change its certificate. stop() closes the port before it returns, so it can be
    // bound anew at once. Clients come back to a port that was closed just now (session.ts).
    this.#retire();
    this.#current = this.#open(this.port, tls);
  }

  /** Refuses new calls, ends streams, lets calls finish within the grace, then cuts them off. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { runtime, generic, graceMs = DEFAULT_GRACE_MS } = this.options;
    generic?.stop();
    this.#streams.stop();
    this.#retire();
    const ended = Promise.withResolvers<void>();
    const timer = runtime.clock.schedule(graceMs, () => ended.resolve());
    Promise.all(this.#ending.values()).then(() => ended.resolve(), ended.reject);
    await ended.promise;
    timer.cancel();
    await Promise.all([...this.#ending.keys()].map((server) => server.stop(true)));
  }

  #open(port: number, tls: TlsMaterial | null): Server {
    return bind({
      host: this.options.host,
      port,
      tls: tls === null ? undefined : serverTls(tls),
      fetch: this.#answer,
    });
  }

  #retire(): void {
    const server = this.#current;
    if (server === null) return;
    this.#current = null;
    const ended = server.stop().then(() => void this.#ending.delete(server));
    this.#ending.set(server, ended);
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
