import { HedgerowError } from "../errors.ts";

/** A message in a Connect stream: a byte of flags, four of length, and the data. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

export interface Header {
  readonly flags: number;
  /** Of the data. */
  readonly length: number;
}

export const COMPRESSED_FLAG = 0b01;
export const END_OF_STREAM_FLAG = 0b10;

export const HEADER_BYTES = 5;
/** Chunks are joined up to this: each is an object that takes more than its bytes. */
const JOINED_BYTES = 16 * 1024;

// Numbers are read and written by hand: a DataView asks for the array's buffer, an object that costs more than a short
// message and lives as long.

export function envelope(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + data.length);
  writeHeader(bytes, 0, data.length);
  bytes.set(data, HEADER_BYTES);
  return bytes;
}

/** Of a message without flags. */
export function writeHeader(into: Uint8Array, at: number, length: number): void {
  into[at] = 0;
  into[at + 1] = length >>> 24;
  into[at + 2] = length >>> 16;
  into[at + 3] = length >>> 8;
  into[at + 4] = length;
}

/** Cuts a stream of bytes into envelopes, however they are spread over its chunks. */
export class EnvelopeReader {
  readonly #chunks: Uint8Array[] = [];
  /** Of the first chunk, what has been read. */
  #at = 0;
  /** Unread, in all chunks. */
  #bytes = 0;
  /** Of the envelope that is not complete yet. */
  #header: Header | null = null;

  constructor(private readonly maxBytes: number) {}

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#bytes += chunk.length;
    this.#chunks.push(this.#joined(chunk));
  }

  /** Bytes that have come and were not taken. */
  get unread(): number {
    return this.#bytes;
  }

  /** Whether all that came was whole envelopes, which have been read. */
  get empty(): boolean {
    return this.#bytes === 0 && this.#header === null;
  }

  /** The next envelope, null until it is complete. Throws `too_large` from its header on. */
  next(): Envelope | null {
    const header = this.#header ?? this.#readHeader();
    if (header === null || this.#bytes < header.length) return null;
    this.#header = null;
    return { flags: header.flags, data: this.#take(header.length) };
  }

  /** The header of the envelope that has not come whole. */
  get coming(): Header | null {
    return this.#header;
  }

  /** The first bytes of that envelope, up to so many, as far as they have come; they are not taken. */
  peek(length: number): Uint8Array {
    let first = this.#chunks[0]?.subarray(this.#at, this.#at + length) ?? new Uint8Array();
    for (const chunk of this.#chunks.slice(1)) {
      if (first.length === length) break;
      first = Buffer.concat([first, chunk.subarray(0, length - first.length)]);
    }
    return first;
  }

  /**
   * Takes some of that envelope, as it came: up to `most` bytes, or up to the end of a chunk; null until `least` of them
   * are there, in whatever chunks. What is left of it is as if it had begun there.
   */
  part(least: number, most: number): Uint8Array | null {
    const [first] = this.#chunks;
    if (first === undefined || this.#header === null || this.#bytes < least) return null;
    const { flags, length: whole } = this.#header;
    const bytes = first.subarray(this.#at, this.#at + Math.min(most, whole));
    this.#header = bytes.length < whole ? { flags, length: whole - bytes.length } : null;
    this.#pass(bytes.length);
    return bytes;
  }

  /** A small chunk with those before it that are no larger: an envelope may come byte by byte. */
  #joined(chunk: Uint8Array): Uint8Array {
    let joined = chunk;
    for (let before = this.#chunks.at(-1); this.#chunks.length > 1; before = this.#chunks.at(-1)) {
      if (before === undefined || before.length > joined.length) break;
      if (before.length + joined.length > JOINED_BYTES) break;
      joined = Buffer.concat([before, joined]);
      this.#chunks.pop();
    }
    return joined;
  }

  /** Where it lies in one chunk, as mostly, no view is made for it: that costs more than a short message. */
  #readHeader() {
    if (this.#bytes < HEADER_BYTES) return null;
    const first = this.#chunks[0] as Uint8Array;
    const start = this.#at;
    const inPlace = first.length - start >= HEADER_BYTES;
    const bytes = inPlace ? first : this.#take(HEADER_BYTES);
    const at = (i: number) => bytes[inPlace ? start + i : i] as number;
    const length = ((at(1) << 24) | (at(2) << 16) | (at(3) << 8) | at(4)) >>> 0;
    if (length > this.maxBytes) {
      throw new HedgerowError(
        "too_large",
        `a message of the stream is over ${this.maxBytes} bytes`,
      );
    }
    this.#header = { flags: at(0), length };
    if (inPlace) this.#pass(HEADER_BYTES);
    return this.#header;
  }

  /** The next so many bytes, which are there: a part of a chunk, or a copy where they lie in several. */
  #take(length: number): Uint8Array {
    const first = this.#chunks[0];
    if (first === undefined) return new Uint8Array();
    if (first.length - this.#at >= length) {
      const bytes = first.subarray(this.#at, this.#at + length);
      this.#pass(length);
      return bytes;
    }
    const copy = Buffer.allocUnsafeSlow(length);
    for (let filled = 0; filled < length;) {
      const chunk = this.#chunks[0] as Uint8Array;
      const end = Math.min(chunk.length, this.#at + length - filled);
      copy.set(chunk.subarray(this.#at, end), filled);
      filled += end - this.#at;
      this.#pass(end - this.#at);
    }
    return copy;
  }

  /** Bytes of the first chunk have been read. */
  #pass(bytes: number): void {
    this.#bytes -= bytes;
    this.#at += bytes;
    if (this.#at < (this.#chunks[0]?.length ?? 0)) return;
    this.#chunks.shift();
    this.#at = 0;
  }
}
