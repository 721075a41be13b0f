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
  readonly streams: StreamGate;

  constructor({ maxCalls, maxStreams }: ClientLimits = DEFAULT_CLIENT_LIMITS) {
    this.calls = new CallGate(maxCalls);
    this.streams = new StreamGate(maxStreams);
  }
}

/** Streams that each client may have open at once; more are refused with `overloaded`. */
export class StreamGate {
  readonly #byClient = new Map<string, number>();

  constructor(private readonly maxStreams: number) {}

  /** Passes a stream on, while it lasts. */
  async *run<T>(
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
    const streams = this.#byClient;
    const open = streams.get(client) ?? 0;
    if (open >= this.maxStreams) {
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
