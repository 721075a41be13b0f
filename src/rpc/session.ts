import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { PEER_BASE } from "./base-route.ts";
import { refusedConnection } from "./errors.ts";
import type { Address } from "./port.ts";
import { clientTls, type TlsMaterial } from "./tls.ts";

/** Seconds after which an idle connection is closed: sooner than its server does (IDLE_SECONDS of bind.ts). */
const KEEP_ALIVE_SECONDS = 60;
/** A peer that renews its certificate closes its port for less than this. */
export const RENEWAL_MS = 25;

export interface SessionContext {
  readonly clock: Clock;
  readonly tls: () => TlsMaterial | null;
  /** Of every request. */
  readonly headers: Readonly<Record<string, string>>;
}

export type StreamInit = BunFetchRequestInit & { readonly duplex: "half" };

/** The way to one peer. */
export interface Session {
  readonly headers: Readonly<Record<string, string>>;
  /** Whether connections that are open show the certificate that is current. */
  readonly current: boolean;
  /** One request and its answer, by a path as `pathOf` has it. */
  fetch(path: string, init: BunFetchRequestInit): Promise<Response>;
  /** A request whose body is a stream. */
  stream(path: string, init: StreamInit): Promise<Response>;
  /** Closes idle connections; those in use are closed with their last request. */
  close(): void;
}

/** The connections to one peer, with the certificate that is current when a request starts. */
export class PeerSession implements Session {
  #material: TlsMaterial | null | undefined;
  #session: Bun.FetchSession | null = null;

  constructor(
    private readonly address: Address,
    private readonly context: SessionContext,
  ) {}

  get headers(): Readonly<Record<string, string>> {
    return this.context.headers;
  }

  get current(): boolean {
    return this.#material === this.context.tls();
  }

  /** Tries a refused connection once more. */
  async fetch(path: string, init: BunFetchRequestInit): Promise<Response> {
    try {
      return await this.#send(path, init, "http2");
    } catch (error) {
      if (!refusedConnection(error)) throw error;
      await sleep(this.context.clock, RENEWAL_MS, init.signal ?? undefined);
      return this.#send(path, init, "http2");
    }
  }

  /**
   * Over HTTP/1.1, with a connection of its own. Bun's HTTP/2 client acknowledges so
   * late what comes from one side only that it gets 1 MB/s (measured), and its windows are shared with the calls.
   */
  stream(path: string, init: StreamInit): Promise<Response> {
    return this.#send(path, init, "http1.1");
  }

  close(): void {
    this.#session?.close();
    this.#session = null;
  }

  #send(path: string, init: BunFetchRequestInit, protocol: "http2" | "http1.1"): Promise<Response> {
    const material = this.context.tls();
    if (this.#session === null || material !== this.#material) this.#open(material);
    const session = this.#session as Bun.FetchSession;
    const to = `${this.address}${PEER_BASE}${path}`;
    return material === null
      ? session.fetch(`http://${to}`, init)
      : session.fetch(`https://${to}`, { ...init, protocol });
  }

  #open(material: TlsMaterial | null): void {
    this.close();
    this.#material = material;
    this.#session = new Bun.FetchSession({
      ...(material !== null && { tls: clientTls(material) }),
      proxy: false, // peers are reached directly, whatever the environment says
      keepAlive: { idleTimeout: KEEP_ALIVE_SECONDS },
    });
  }
}
