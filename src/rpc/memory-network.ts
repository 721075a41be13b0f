import { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import { PEER_BASE } from "./base-route.ts";
import type { PeerEndpoint } from "./endpoint.ts";
import type { Address } from "./port.ts";
import type { Session, SessionContext } from "./session.ts";
import type { Exchange } from "./streams/exchange.ts";
import { exchangeOverFetch } from "./streams/over-fetch.ts";

/** Made by `memoryNetwork`. */
export interface MemoryNetwork {
  /** Where nodes listen now. */
  readonly addresses: readonly string[];
}

/**
 * A network within this process, for the option `network`: nodes that are given the same one reach each other, and
 * nobody else does. What they say takes the way that it would take between machines, but for sockets and TLS.
 */
export function memoryNetwork(): MemoryNetwork {
  return new ProcessNetwork();
}

interface Listening {
  readonly endpoint: PeerEndpoint;
  /** Aborts when nobody listens there any more. */
  readonly closed: AbortController;
}

/** What nodes see of it. */
export class ProcessNetwork implements MemoryNetwork {
  readonly #listening = new Map<Address, Listening>();
  #named = 0;

  get addresses(): readonly string[] {
    return [...this.#listening.keys()];
  }

  /** An address that no node has had: `memory:1`, `memory:2` and so on. */
  nextAddress(): Address {
    return `memory:${++this.#named}`;
  }

  /** Throws `unavailable` where a node listens already. The result ends it, and cuts off what is under way. */
  listen(address: Address, endpoint: PeerEndpoint): () => void {
    if (this.#listening.has(address)) {
      const mend = "stop the node that has it or choose another --peer-addr";
      throw new HedgerowError("unavailable", `${address} is in use in this network: ${mend}`);
    }
    const closed = new AbortController();
    this.#listening.set(address, { endpoint, closed });
    return () => {
      if (closed.signal.aborted) return;
      this.#listening.delete(address);
      endpoint.stop();
      closed.abort();
    };
  }

  /** The way to the node at an address, whether there is one or not. */
  session(address: Address, context: SessionContext): Session {
    return new MemorySession(address, context, () => this.#listening.get(address));
  }
}

class MemorySession implements Session {
  readonly room = 0;

  constructor(
    private readonly address: Address,
    private readonly context: SessionContext,
    private readonly find: () => Listening | undefined,
  ) {}

  get headers(): Readonly<Record<string, string>> {
    return this.context.headers;
  }

  async fetch(path: string, init: BunFetchRequestInit): Promise<Response> {
    // A turn of the event loop each way: who calls without a pause keeps no timer of the process from firing.
    await turn(this.context.clock);
    init.signal?.throwIfAborted();
    const there = this.find();
    if (there === undefined) {
      throw new HedgerowError("unavailable", `${this.address} cannot be reached: no node is there`);
    }
    const request = new Request(`http://${this.address}${PEER_BASE}${path}`, init);
    const answer = Promise.resolve(there.endpoint.fetch(request));
    const response = await unlessCut(answer, init.signal, there.closed.signal, this.address);
    await turn(this.context.clock);
    return response;
  }

  stream(path: string, exchange: Exchange): Promise<void> {
    return exchangeOverFetch((init) => this.fetch(path, init), exchange);
  }

  close(): void {}
}

function turn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(0, resolve);
  });
}

/** As of a connection: it breaks when the caller gives up, and when the node is gone. */
function unlessCut(
  answer: Promise<Response>,
  caller: AbortSignal | null | undefined,
  closed: AbortSignal,
  address: Address,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const givenUp = () => settle(() => reject(caller?.reason as Error));
    const gone = () => {
      const message = `the connection to ${address} was closed`;
      settle(() => reject(new HedgerowError("outcome_unknown", message)));
    };
    const settle = (end: () => void) => {
      caller?.removeEventListener("abort", givenUp);
      closed.removeEventListener("abort", gone);
      end();
    };
    caller?.addEventListener("abort", givenUp, { once: true });
    closed.addEventListener("abort", gone, { once: true });
    answer.then(
      (response) => settle(() => resolve(response)),
      (error: unknown) => settle(() => reject(error as Error)),
    );
  });
}
