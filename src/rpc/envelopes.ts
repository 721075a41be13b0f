import { HedgerowError } from "../errors.ts";

/** A message in a Connect stream: a byte of flags, four of length, and the data. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

export const COMPRESSED_FLAG = 0b01;
export const END_OF_STREAM_FLAG = 0b10;

const HEADER_BYTES = 5;

export function envelope(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, HEADER_BYTES);
  return bytes;
}

/** Cuts a stream of bytes into envelopes, however they are spread over its chunks. */
export class EnvelopeReader {
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  /** Bytes of an envelope that is not complete. */
  get left(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next envelope, null until it is complete. Throws `too_large` from its header on. */
  next(): Envelope | null {
    if (this.#bytes < HEADER_BYTES) return null;
    const header = this.#peek(HEADER_BYTES);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    if (length > this.maxBytes) {
      throw new HedgerowError(
        "too_large",
        `a message of the stream is over ${this.maxBytes} bytes`,
      );
    }
    if (this.#bytes < HEADER_BYTES + length) return null;
    const whole = this.#peek(HEADER_BYTES + length);
    this.#drop(HEADER_BYTES + length);
    return { flags: whole[0] as number, data: whole.subarray(HEADER_BYTES, HEADER_BYTES + length) };
  }

  /** At least `bytes` bytes in one piece; chunks are joined once, when all that is needed has come. */
  #peek(bytes: number): Uint8Array {
    const first = this.#chunks[0] as Uint8Array;
    if (first.length >= bytes) return first;
    const joined = bytes === HEADER_BYTES ? this.#chunks.slice(0, bytes) : this.#chunks;
    const head = Buffer.concat(joined);
    if (joined === this.#chunks) this.#chunks = [head];
    return head;
  }

  #drop(bytes: number): void {
    const first = this.#chunks[0] as Uint8Array;
    this.#bytes -= bytes;
    if (first.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(bytes);
  }
}
