import { HEADER_BYTES, writeHeader } from "./envelopes.ts";
import type { MessageWriter } from "./message-wire.ts";

const FIRST_BYTES = 64 * 1024;
/** A larger buffer is not kept for the next one. */
const MAX_KEPT_BYTES = 1024 * 1024;

/** Of writers that had no use for it any more: one is enough, as they take turns. */
let spare: Uint8Array | null = null;

/**
 * Envelopes, one behind the other, in memory that is used again as soon as they have been sent. All who write in one
 * stretch of code need one such piece between them.
 */
export class EnvelopeWriter {
  #bytes: Uint8Array | null = null;
  #used = 0;

  /** Bytes that wait to be sent. */
  get used(): number {
    return this.#used;
  }

  add(data: Uint8Array): void {
    const at = this.#begin(data.length);
    this.#into.set(data, at);
    this.#used = at + data.length;
  }

  /** `bytes` is what the message takes, as the writer says. */
  addMessage<T>(writer: MessageWriter<T>, message: T, bytes: number): void {
    const at = this.#begin(bytes);
    writer.write(message, this.#into, at);
    this.#used = at + bytes;
  }

  /** Gives all to `send`, which has copied it when it returns. */
  sendTo<R>(send: (bytes: Uint8Array) => R): R {
    const bytes = this.#into;
    const result = send(bytes.subarray(0, this.#used));
    this.#bytes = null;
    this.#used = 0;
    if (bytes.length <= MAX_KEPT_BYTES) spare = bytes;
    return result;
  }

  get #into(): Uint8Array {
    if (this.#bytes === null) {
      this.#bytes = spare ?? new Uint8Array(FIRST_BYTES);
      spare = null;
    }
    return this.#bytes;
  }

  /** Where the message begins, behind its header. */
  #begin(length: number): number {
    const at = this.#used;
    const end = at + HEADER_BYTES + length;
    if (end > this.#into.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#into.length));
      larger.set(this.#into.subarray(0, at));
      this.#bytes = larger;
    }
    writeHeader(this.#into, at, length);
    return at + HEADER_BYTES;
  }
}
