import { HedgerowError } from "../errors.ts";
import { COMPRESSED_FLAG, END_OF_STREAM_FLAG, EnvelopeReader } from "./envelopes.ts";
import type { Turns } from "./turns.ts";

/** The messages that come in the body of a request. Leaves the body when it is left, or has failed. */
export class StreamRequests<T> implements AsyncIterableIterator<T, undefined, undefined> {
  readonly #reader: EnvelopeReader;
  /** Null once it is over. */
  #chunks: AsyncIterator<Uint8Array> | null;

  constructor(
    chunks: AsyncIterable<Uint8Array>,
    /** Of one message. */
    maxBytes: number,
    private readonly read: (data: Uint8Array) => T,
    private readonly turns: Turns,
  ) {
    this.#reader = new EnvelopeReader(maxBytes);
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** For one reader, who awaits each step. */
  next(): Promise<IteratorResult<T, undefined>> {
    try {
      const value = this.#chunks === null ? null : this.#take();
      if (value !== null) {
        const turn = this.turns.over();
        const result = { done: false as const, value };
        return turn === undefined ? Promise.resolve(result) : turn.then(() => result);
      }
    } catch (error) {
      this.#leave();
      return Promise.reject(error as Error);
    }
    return this.#more();
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#leave();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #more(): Promise<IteratorResult<T, undefined>> {
    try {
      while (this.#chunks !== null) {
        const { done, value: chunk } = await this.#chunks.next();
        if (this.#chunks === null) break; // left meanwhile
        if (done === true) {
          this.#chunks = null;
          if (!this.#reader.empty) throw malformed("it ends within a message");
          break;
        }
        this.#reader.push(chunk);
        const value = this.#take();
        if (value === null) continue;
        await this.turns.over();
        return { done: false, value };
      }
      return { done: true, value: undefined };
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** A message that has come whole. */
  #take(): T | null {
    const next = this.#reader.next();
    if (next === null) return null;
    if (next.flags & COMPRESSED_FLAG) throw malformed("a message is compressed");
    if (next.flags & END_OF_STREAM_FLAG) throw malformed("only answers have an end of stream");
    return this.read(next.data);
  }

  #leave(): void {
    const chunks = this.#chunks;
    this.#chunks = null;
    chunks?.return?.().catch(() => {}); // its outcome has no reader
  }
}

export function malformed(what: string): HedgerowError {
  return new HedgerowError("invalid_argument", `the request is malformed: ${what}`);
}
