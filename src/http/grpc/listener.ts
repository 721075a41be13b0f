import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { HedgerowError } from "../../errors.ts";
import { joinAddress, splitAddress } from "../../node/address.ts";
import { bindError } from "../../rpc/bind.ts";
import { sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { ListenerTls } from "../listener.ts";
import { Connections } from "./connections.ts";

/** What the listener serves. */
export interface GrpcServed {
  /** Answers the request, whatever happens. */
  handle(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void>;
  /** Ends streams, which would never end by themselves. */
  stop(): void;
}

export interface GrpcListenerOptions {
  /** `host:port`, or `:port` for all IPv4 interfaces; port 0 picks a free one. */
  readonly address: string;
  /** Default: plain text. */
  readonly tls?: ListenerTls | undefined;
  readonly clock: Clock;
}

/** Milliseconds that calls under way get to finish at stop. */
const STOP_GRACE_MS = 3_000;
/** Calls and streams that one connection may have under way. */
const MAX_CONCURRENT_STREAMS = 4_096;
/** Megabytes. The default of 10 ends a connection (ENHANCE_YOUR_CALM) on which many large replies wait. */
const MAX_SESSION_MEMORY = 1_000;
/** Quiet connections are asked after so many milliseconds whether their other end is still there. */
const KEEP_ALIVE_MS = 60_000;

/** Clients try again, as their own rules have it. */
const STARTING: GrpcServed = {
  async handle(_, response) {
    response.writeHead(200, { "content-type": "application/grpc" });
    response.addTrailers({
      "grpc-status": "14", // UNAVAILABLE
      "grpc-message": "the node is starting: try again",
    });
    response.end();
  },
  stop() {},
};

/**
 * The listener for native gRPC, which ends each answer with trailers: node:http2 has them, Bun.serve does not. Until
 * it is given what to serve it answers as `STARTING` does.
 */
export class GrpcListener {
  readonly #connections: Connections;
  #served = STARTING;

  private constructor(
    /** `host:port` that it is bound to. */
    readonly address: string,
    private readonly server: Http2Server | Http2SecureServer,
    private readonly clock: Clock,
  ) {
    this.#connections = new Connections(clock);
    server.on("request", (request, response) => {
      this.#connections.begun(response.stream);
      void this.#served.handle(request, response);
    });
    server.on("session", (session) => this.#connections.add(session));
  }

  /** Throws a HedgerowError of one line with the mend if it cannot listen. */
  static async open({ address, tls, clock }: GrpcListenerOptions): Promise<GrpcListener> {
    const { host: given, port } = splitAddress(address);
    const host = given === "" ? "0.0.0.0" : given;
    const options = {
      maxSessionMemory: MAX_SESSION_MEMORY,
      settings: { maxConcurrentStreams: MAX_CONCURRENT_STREAMS },
    };
    const server =
      tls === undefined
        ? createServer(options)
        : createSecureServer({ ...options, cert: tls.cert, key: tls.key });
    server.on("connection", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    try {
      const listening = Promise.withResolvers<void>();
      server.on("error", listening.reject); // also of connections that cannot be accepted, later
      server.listen(port, host, listening.resolve);
      await listening.promise;
    } catch (error) {
      const { code, message } = bindError(host, port, error);
      throw new HedgerowError(code, `--grpc-addr ${address}: ${message}`, { cause: error });
    }
    const bound = server.address();
    const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
    return new GrpcListener(joinAddress(host, boundPort), server, clock);
  }

  serve(served: GrpcServed): void {
    this.#served = served;
  }

  /** Shows connections to come another certificate. */
  renew({ cert, key }: ListenerTls): void {
    if ("setSecureContext" in this.server) this.server.setSecureContext({ cert, key });
  }

  /** Takes no more connections and calls, and cuts off those that are left when the grace is over. */
  async stop(): Promise<void> {
    this.#served.stop();
    const closed = Promise.withResolvers<void>();
    this.server.close(() => closed.resolve());
    this.#connections.close();
    const inTime = new AbortController();
    const overdue = sleep(this.clock, STOP_GRACE_MS, inTime.signal).catch(() => {
      // all finished in time
    });
    await Promise.race([closed.promise, overdue]);
    inTime.abort();
    this.#connections.destroy();
  }
}
