import { Readable } from "node:stream";

/**
 * Bytes that are read ahead of a body. A reader of Bun's web streams holds 64 KiB for its next chunk, read or not: a
 * thousand streams would hold 64 MiB. And what was read comes in objects as small as the pieces that were sent, each of
 * which takes more than its bytes. Bodies that carry much, of which there are few, come in larger chunks.
 */
const CHUNK_BYTES = { small: 1024, large: 16 * 1024 } as const;

/**
 * The chunks of a body. Throwing into it cancels the body, also while the next chunk is waited for; who merely stops
 * leaves the rest as it is: an answer may end before its request has.
 */
export function chunksOf(body: ReadableStream<Uint8Array>, size: keyof typeof CHUNK_BYTES): Chunks {
  // The same class, as Node's types have it.
  const web = body as unknown as Parameters<typeof Readable.fromWeb>[0];
  const readable = Readable.fromWeb(web, { highWaterMark: CHUNK_BYTES[size] });
  return new Chunks(readable, (error) => readable.destroy(error));
}

/** What a stream of Node's brings, without what its own iterator makes for each chunk. */
export class Chunks implements AsyncIterableIterator<Uint8Array, undefined, undefined> {
  #wake: (() => void) | null = null;
  #ended = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(
    private readonly readable: Readable,
    private readonly cancel: (error: Error | undefined) => void,
  ) {
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
    this.#failure ??= { error };
    this.#wake?.();
    this.cancel(error instanceof Error ? error : undefined);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
