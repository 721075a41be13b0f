import { Readable } from "node:stream";

/** A reader of Bun's web streams holds 64 KiB for its next chunk, read or not: a thousand streams would hold 64 MiB. */
const CHUNK_BYTES = 4 * 1024;

/**
 * The chunks of a body. Throwing into it cancels the body, also while the next chunk is waited for; who merely stops
 * leaves the rest as it is: an answer may end before its request has.
 */
export function chunksOf(body: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  // The same class, as Node's types have it.
  const web = body as unknown as Parameters<typeof Readable.fromWeb>[0];
  const readable = Readable.fromWeb(web, { highWaterMark: CHUNK_BYTES });
  return { [Symbol.asyncIterator]: () => new Chunks(readable) };
}

class Chunks implements AsyncIterator<Uint8Array> {
  #wake: (() => void) | null = null;
  #ended = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(private readonly readable: Readable) {
    const wake = () => this.#wake?.();
    readable.on("readable", wake);
    readable.once("end", () => {
      this.#ended = true;
      wake();
    });
    readable.on("error", (error) => {
      this.#failure ??= { error };
      wake();
    });
    readable.once("close", () => {
      if (!this.#ended) this.#failure ??= { error: new Error("the request was cut off") };
      wake();
    });
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    for (;;) {
      const value = this.readable.read() as Uint8Array | null;
      if (value !== null) return { done: false, value };
      if (this.#failure !== null) throw this.#failure.error;
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }

  async throw(error: unknown): Promise<IteratorResult<Uint8Array, undefined>> {
    this.readable.destroy(error instanceof Error ? error : undefined);
    return { done: true, value: undefined };
  }
}
