import type { Runtime } from "../runtime/runtime.ts";
import { type EndpointOptions, PeerEndpoint } from "./endpoint.ts";
import { RenewableServer } from "./renewable.ts";
import { serverTls, type TlsMaterial } from "./tls.ts";

export interface PeerListenerOptions extends Omit<EndpointOptions, "clock"> {
  readonly runtime: Runtime;
  /** Name or address to bind; "" for all interfaces. */
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** null: plain text. */
  readonly tls: TlsMaterial | null;
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
  readonly endpoint: PeerEndpoint;
  readonly #server: RenewableServer;

  constructor(private readonly options: PeerListenerOptions) {
    const { host, port, tls, runtime } = options;
    this.endpoint = new PeerEndpoint({ ...options, clock: runtime.clock });
    this.#server = new RenewableServer({
      host,
      port,
      tls: tls === null ? undefined : serverTls(tls),
      fetch: this.endpoint.fetch,
    });
    this.port = this.#server.port;
  }

  /** As `RenewableServer.renew`. */
  renew(tls: TlsMaterial): void {
    this.#server.renew(serverTls(tls));
  }

  /** Refuses new calls, ends streams, lets calls finish within the grace, then cuts them off. Idempotent. */
  stop(): Promise<void> {
    const { runtime, graceMs = DEFAULT_GRACE_MS } = this.options;
    this.endpoint.endStreams();
    return this.#server.stop(runtime.clock, graceMs);
  }
}
