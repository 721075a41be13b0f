import { HedgerowError } from "../errors.ts";
import { joinAddress, splitAddress } from "../node/address.ts";
import type { Server } from "../rpc/bind.ts";
import { RenewableServer } from "../rpc/renewable.ts";
import type { Clock } from "../runtime/runtime.ts";
import { line } from "./respond.ts";

/** A certificate, which its chain may follow, and its key, both PEM. */
export interface ListenerTls {
  readonly cert: string;
  readonly key: string;
}

/** What a listener serves. */
export interface Served {
  fetch(request: Request, server: Server): Response | Promise<Response>;
  /** Ends streams, which would never end by themselves. */
  stop(): void;
}

export interface HttpListenerOptions {
  /** `host:port`, or `:port` for all IPv4 interfaces; port 0 picks a free one. */
  readonly address: string;
  /** Default: plain text. */
  readonly tls?: ListenerTls | undefined;
  readonly clock: Clock;
}

/** Milliseconds that requests under way get to finish at stop. */
const STOP_GRACE_MS = 3_000;

/** The process runs, and no more. */
const STARTING: Served = {
  fetch: (request) =>
    new URL(request.url).pathname === "/livez"
      ? line(200, "ok")
      : line(503, "the node is starting: try again"),
  stop() {},
};

/** The http listener. Until it is given what to serve it answers as `STARTING` does. */
export class HttpListener {
  /** Without brackets; `0.0.0.0` for all IPv4 interfaces. */
  readonly host: string;
  /** `host:port` that it is bound to. */
  readonly address: string;
  /** As in `http://127.0.0.1:9090`. */
  readonly url: string;
  readonly #server: RenewableServer;
  readonly #clock: Clock;
  #served = STARTING;

  /** Throws a HedgerowError of one line with the mend if it cannot listen. */
  constructor({ address, tls, clock }: HttpListenerOptions) {
    const { host, port } = splitAddress(address);
    this.host = host === "" ? "0.0.0.0" : host;
    this.#clock = clock;
    try {
      this.#server = new RenewableServer({
        host: this.host,
        port,
        tls: tls && { cert: tls.cert, key: tls.key },
        fetch: (request, server) => this.#served.fetch(request, server),
      });
    } catch (error) {
      const { code, message } = HedgerowError.from(error);
      throw new HedgerowError(code, `--http-addr ${address}: ${message}`, { cause: error });
    }
    this.address = joinAddress(this.host, this.#server.port);
    this.url = `${tls === undefined ? "http" : "https"}://${this.address}`;
  }

  serve(served: Served): void {
    this.#served = served;
  }

  /** Shows connections to come another certificate; as `RenewableServer.renew`. */
  renew({ cert, key }: ListenerTls): void {
    this.#server.renew({ cert, key });
  }

  /** Takes no more connections, and cuts off the requests that are left when the grace is over. Idempotent. */
  async stop(): Promise<void> {
    this.#served.stop();
    await this.#server.stop(this.#clock, STOP_GRACE_MS);
  }
}
