import { HedgerowError } from "../errors.ts";
import { CallGate } from "../rpc/call-gate.ts";
import { thenNow } from "../runtime/ready.ts";

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
  run<T>(client: string, messages: () => AsyncIterable<T>): AsyncIterable<T> {
    return new Admitted(() => this.#open(client), messages);
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
    let released = false;
    return {
      [Symbol.dispose]() {
        if (released) return;
        released = true;
        const left = (streams.get(client) ?? 1) - 1;
        if (left > 0) streams.set(client, left);
        else streams.delete(client);
      },
    };
  }
}

/** Holds a place from its first step to its last. */
class Admitted<T> implements AsyncIterableIterator<T, undefined, undefined> {
  #place: Disposable | null = null;
  #messages: AsyncIterator<T> | null = null;

  readonly #passed = (next: IteratorResult<T>): IteratorResult<T, undefined> => {
    if (next.done === true) this.#place?.[Symbol.dispose]();
    return next;
  };

  readonly #failed = (error: unknown): never => {
    this.#place?.[Symbol.dispose]();
    throw error;
  };

  constructor(
    private readonly open: () => Disposable,
    private readonly messages: () => AsyncIterable<T>,
  ) {}

  next(): Promise<IteratorResult<T, undefined>> {
    return thenNow(this.#messages?.next() ?? this.#first(), this.#passed, this.#failed);
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    try {
      await this.#messages?.return?.();
    } finally {
      this.#place?.[Symbol.dispose]();
    }
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #first(): Promise<IteratorResult<T>> {
    this.#place = this.open();
    this.#messages = this.messages()[Symbol.asyncIterator]();
    return await this.#messages.next();
  }
}
