import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { PEER_BASE } from "./base-route.ts";
import { refusedConnection } from "./errors.ts";
import type { Address } from "./port.ts";
import type { Exchange } from "./streams/exchange.ts";
import { CHUNK_ROOM, exchangeOverSocket } from "./streams/over-socket.ts";
import { clientTls, type TlsMaterial } from "./tls.ts";

/** Seconds after which an idle connection is closed: sooner than its server does (IDLE_SECONDS of bind.ts). */
const KEEP_ALIVE_SECONDS = 60;
/** Sessions that are closed again, should connections have come back to them. */
const MAX_CLOSED = 4;
/** A peer that renews its certificate closes its port for less than this. */
export const RENEWAL_MS = 25;

export interface SessionContext {
  readonly clock: Clock;
  readonly tls: () => TlsMaterial | null;
  /** Of every request. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The way to one peer. */
export interface Session {
  readonly headers: Readonly<Record<string, string>>;
  /** One request and its answer, by a path as `pathOf` has it. */
  fetch(path: string, init: BunFetchRequestInit): Promise<Response>;
  /** Bytes that an exchange leaves free before each piece of its body. */
  readonly room: number;
  /** Resolves at the end of the answer. */
  stream(path: string, exchange: Exchange): Promise<void>;
  /** Closes idle connections. Those in use are closed by the next `close` after their last request, or when idle for long. */
  close(): void;
}

/** The connections to one peer, with the certificate that is current when a request starts. */
export class PeerSession implements Session {
  readonly room = CHUNK_ROOM;
  #material: TlsMaterial | null | undefined;
  #session: Bun.FetchSession | null = null;
  /** Those before, to which connections come back that were in use when they were closed. */
  #closed: readonly Bun.FetchSession[] = [];

  constructor(
    private readonly address: Address,
    private readonly context: SessionContext,
  ) {}

  get headers(): Readonly<Record<string, string>> {
    return this.context.headers;
  }

  /** Tries a refused connection once more. */
  async fetch(path: string, init: BunFetchRequestInit): Promise<Response> {
    try {
      return await this.#send(path, init);
    } catch (error) {
      if (!refusedConnection(error)) throw error;
      await sleep(this.context.clock, RENEWAL_MS, init.signal ?? undefined);
      return this.#send(path, init);
    }
  }

  stream(path: string, exchange: Exchange): Promise<void> {
    return exchangeOverSocket(this.address, `${PEER_BASE}${path}`, this.context.tls(), exchange);
  }

  close(): void {
    if (this.#session !== null) this.#closed = [...this.#closed, this.#session].slice(-MAX_CLOSED);
    this.#session = null;
    for (const session of this.#closed) session.close();
  }

  #send(path: string, init: BunFetchRequestInit): Promise<Response> {
    const material = this.context.tls();
    if (this.#session === null || material !== this.#material) this.#open(material);
    const session = this.#session as Bun.FetchSession;
    const to = `${this.address}${PEER_BASE}${path}`;
    return material === null
      ? session.fetch(`http://${to}`, init)
      : session.fetch(`https://${to}`, { ...init, protocol: "http2" });
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
