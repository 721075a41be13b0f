import { HedgerowError } from "../errors.ts";
import { joinAddress, splitAddress } from "../node/address.ts";
import { bind, type Server } from "../rpc/bind.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { line } from "./respond.ts";

/** What a listener serves. */
export interface Served {
  fetch(request: Request, server: Server): Response | Promise<Response>;
  /** Ends streams, which would never end by themselves. */
  stop(): void;
}

export interface HttpListenerOptions {
  /** `host:port`, or `:port` for all IPv4 interfaces; port 0 picks a free one. */
  readonly address: string;
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
  readonly #server: Server;
  readonly #clock: Clock;
  #served = STARTING;

  /** Throws a HedgerowError of one line with the mend if it cannot listen. */
  constructor({ address, clock }: HttpListenerOptions) {
    const { host, port } = splitAddress(address);
    this.host = host === "" ? "0.0.0.0" : host;
    this.#clock = clock;
    try {
      this.#server = bind({
        host: this.host,
        port,
        fetch: (request, server) => this.#served.fetch(request, server),
      });
    } catch (error) {
      const { code, message } = HedgerowError.from(error);
      throw new HedgerowError(code, `--http-addr ${address}: ${message}`, { cause: error });
    }
    this.address = joinAddress(this.host, this.#server.port ?? port);
  }

  serve(served: Served): void {
    this.#served = served;
  }

  /** Takes no more connections, and cuts off the requests that are left when the grace is over. */
  async stop(): Promise<void> {
    this.#served.stop();
    const inTime = new AbortController();
    const overdue = sleep(this.#clock, STOP_GRACE_MS, inTime.signal).catch(() => {
      // all finished in time
    });
    await Promise.race([this.#server.stop(), overdue]);
    inTime.abort();
    await this.#server.stop(true);
  }
}
