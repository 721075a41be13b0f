import { HedgerowError } from "../errors.ts";
import { CallGate } from "../rpc/call-gate.ts";

/** What clients may ask of a node at once; more is refused with `overloaded`. */
export interface ClientLimits {
  /** Calls of all clients together. Signs of life, and what gives back, are none. */
  readonly maxCalls: number;
  /** Streams of one client, told by its IP address. */
  readonly maxStreams: number;
}

export const DEFAULT_CLIENT_LIMITS: ClientLimits = { maxCalls: 10_000, maxStreams: 4_096 };

/** Counts what clients have under way, at all listeners together. */
export class Admission {
  readonly calls: CallGate;
  /** Streams by client. */
  readonly #streams = new Map<string, number>();

  constructor(private readonly limits: ClientLimits = DEFAULT_CLIENT_LIMITS) {
    this.calls = new CallGate(limits.maxCalls);
  }

  /** Passes a stream on, while it lasts. */
  async *stream<T>(
    client: string,
    messages: () => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    using _open = this.#open(client);
    yield* messages();
  }

  /** The same for one that has a single answer. */
  async upload<T>(client: string, work: () => Promise<T>): Promise<T> {
    using _open = this.#open(client);
    return await work();
  }

  #open(client: string): Disposable {
    const streams = this.#streams;
    const open = streams.get(client) ?? 0;
    if (open >= this.limits.maxStreams) {
      const message = `${open} streams of this client are open here already: end one`;
      throw new HedgerowError("overloaded", message);
    }
    streams.set(client, open + 1);
    return {
      [Symbol.dispose]() {
        const left = (streams.get(client) ?? 1) - 1;
        if (left > 0) streams.set(client, left);
        else streams.delete(client);
      },
    };
  }
}
