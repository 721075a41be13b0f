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

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The next envelope, null until it is complete. Throws `too_large` from its header on. */
  next(): Envelope | null {
    if (this.#bytes < HEADER_BYTES) return null;
    const header = this.#join(HEADER_BYTES);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    if (length > this.maxBytes) {
      throw new HedgerowError(
        "too_large",
        `a message of the stream is over ${this.maxBytes} bytes`,
      );
    }
    const end = HEADER_BYTES + length;
    if (this.#bytes < end) return null;
    const whole = this.#join(end);
    this.#bytes -= end;
    if (whole.length === end) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(end);
    return { flags: whole[0] as number, data: whole.subarray(HEADER_BYTES, end) };
  }

  /** The first chunk, made at least `bytes` long of those behind it. */
  #join(bytes: number): Uint8Array {
    let length = 0;
    let count = 0;
    while (length < bytes) length += (this.#chunks[count++] as Uint8Array).length;
    if (count > 1) this.#chunks.unshift(Buffer.concat(this.#chunks.splice(0, count)));
    return this.#chunks[0] as Uint8Array;
  }
}
