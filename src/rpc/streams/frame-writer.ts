import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { StreamFrameSchema } from "../../gen/hedgerow/v1/peer_pb.ts";
import { ENVELOPE_BYTES } from "./limits.ts";

// CarryRequest and CarryResponse of peer.proto, which are the same, written by hand: a short message is copied once, to
// its place in the envelope that carries it, a long one not at all. test/rpc/streams/frames.test.ts holds this to
// protobuf's own codec.

/** An envelope on its way. */
export interface Outgoing {
  /** It begins with as many free bytes as whoever carries it has asked for. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** The rest of it, where the sender has it: not to be looked at once the next envelope is asked for, or the link is cut. */
  readonly body: Uint8Array | null;
}

/** In one piece, which is the caller's. */
export function copyOf({ head, body }: Outgoing): Uint8Array<ArrayBuffer> {
  return body === null ? head : Buffer.concat([head, body]);
}

/** A message that is sent from where it is, and what to do when nobody looks at it any more. */
interface Lent {
  readonly data: Uint8Array;
  readonly back: () => void;
}

/** Flags and length before each message of a Connect stream. */
const ENVELOPE_HEADER = 5;
/** A tag, and a length that is filled in when it is known: a varint may be longer than it needs to be. */
const FRAME_HEADER = 6;
const FRAMES = (1 << 3) | 2;
const STREAM = (1 << 3) | 0;
const MESSAGES = (2 << 3) | 2;
const NUMBER_BYTES = 5;
/** Messages from this size on are not copied: less than that costs as much as a second write. */
export const LENT_BYTES = 128 * 1024;
/** What a message takes beside its own bytes, at the most. */
const OVERHEAD = FRAME_HEADER + 2 * (1 + NUMBER_BYTES);
const LEAST_BYTES = 512;

/**
 * Collects what is to be sent in envelopes. Whatever comes before one is taken travels in it, so that small messages
 * travel together as soon as they come faster than they can be sent.
 */
export class FrameWriter {
  #bytes = Buffer.alloc(0);
  /** What has been written of it, and where its frames begin. */
  #used: number;
  readonly #start: number;
  /** Where the frame begins that messages are added to, and whose it is; 0: none. */
  #frameAt = 0;
  #frameStream = 0;
  /** As many bytes as the last envelope took, for the next one will be like it. */
  #expected = LEAST_BYTES;
  readonly #full: { readonly head: Buffer<ArrayBuffer>; readonly lent: Lent | null }[] = [];
  #fullBytes = 0;
  /** In the hands of whoever carries it. */
  #taken: Lent | null = null;

  constructor(private readonly room = 0) {
    this.#start = room + ENVELOPE_HEADER;
    this.#used = this.#start;
  }

  /** Bytes that wait to be taken. */
  get unsent(): number {
    return this.#fullBytes + this.#used - this.#start;
  }

  /** Whether the body that was taken last is what it was. */
  get lends(): boolean {
    return this.#taken !== null;
  }

  /** Gives a promise that resolves when `data` may change; undefined if it may at once. */
  addMessage(stream: number, data: Uint8Array): Promise<void> | undefined {
    if (data.length >= LENT_BYTES) return this.#lend(stream, data);
    this.#reserve(OVERHEAD + data.length);
    if (this.#frameAt === 0 || this.#frameStream !== stream) this.#openFrame(stream);
    this.#bytes[this.#used++] = MESSAGES;
    this.#number(data.length);
    this.#bytes.set(data, this.#used);
    this.#used += data.length;
    if (this.#used >= ENVELOPE_BYTES) this.#seal();
    return undefined;
  }

  addFrame(given: MessageInitShape<typeof StreamFrameSchema>): void {
    const frame = toBinary(StreamFrameSchema, create(StreamFrameSchema, given));
    this.#reserve(FRAME_HEADER + frame.length);
    this.#closeFrame();
    this.#bytes[this.#used++] = FRAMES;
    this.#number(frame.length);
    this.#bytes.set(frame, this.#used);
    this.#used += frame.length;
  }

  /** A sign of life: an envelope without frames. */
  addBeat(): void {
    this.#reserve(0);
    this.#seal();
  }

  /** The next envelope; null if there is nothing to send. The one before has been sent. */
  take(): Outgoing | null {
    this.passed();
    if (this.#full.length === 0 && this.#used > this.#start) this.#seal();
    const next = this.#full.shift();
    if (next === undefined) return null;
    const { head, lent } = next;
    this.#taken = lent;
    const body = lent?.data ?? null;
    this.#fullBytes -= head.length + (body?.length ?? 0);
    return { head, body };
  }

  /** What was taken last has been sent. */
  passed(): void {
    const taken = this.#taken;
    this.#taken = null;
    taken?.back();
  }

  /** Nothing is taken any more. */
  end(): void {
    this.passed();
    for (const { lent } of this.#full) lent?.back();
    this.#full.length = 0;
    this.#fullBytes = 0;
  }

  /** In an envelope of its own. */
  #lend(stream: number, data: Uint8Array): Promise<void> {
    if (this.#used > this.#start) this.#seal();
    this.#bytes = Buffer.allocUnsafeSlow(this.#start + OVERHEAD);
    this.#openFrame(stream);
    this.#bytes[this.#used++] = MESSAGES;
    this.#number(data.length);
    const { promise, resolve: back } = Promise.withResolvers<void>();
    this.#seal({ data, back });
    return promise;
  }

  #openFrame(stream: number): void {
    this.#closeFrame();
    this.#frameAt = this.#used;
    this.#frameStream = stream;
    this.#bytes[this.#used] = FRAMES;
    this.#used += FRAME_HEADER;
    this.#bytes[this.#used++] = STREAM;
    this.#number(stream);
  }

  /** `more`: bytes of it that are not copied here. */
  #closeFrame(more = 0): void {
    if (this.#frameAt === 0) return;
    let left = this.#used + more - this.#frameAt - FRAME_HEADER;
    for (let i = 1; i < FRAME_HEADER - 1; i++) {
      this.#bytes[this.#frameAt + i] = (left & 0x7f) | 0x80;
      left >>>= 7;
    }
    this.#bytes[this.#frameAt + FRAME_HEADER - 1] = left;
    this.#frameAt = 0;
  }

  #number(value: number): void {
    let left = value;
    for (; left > 0x7f; left >>>= 7) this.#bytes[this.#used++] = (left & 0x7f) | 0x80;
    this.#bytes[this.#used++] = left;
  }

  /** Makes room for so many bytes more: in a new envelope, if much would have to be moved for a large message. */
  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#bytes.length) return;
    if (Math.min(this.#used, bytes) >= ENVELOPE_BYTES / 4) this.#seal();
    const needed = this.#used + bytes;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#expected, 2 * this.#used));
    larger.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = larger;
  }

  #seal(lent: Lent | null = null): void {
    const more = lent?.data.length ?? 0;
    this.#closeFrame(more);
    const { room } = this;
    this.#bytes[room] = 0;
    this.#bytes.writeUInt32BE(this.#used + more - this.#start, room + 1);
    this.#full.push({ head: this.#bytes.subarray(0, this.#used), lent });
    this.#fullBytes += this.#used + more;
    if (lent === null) {
      this.#expected = Math.max(LEAST_BYTES, Math.min(ENVELOPE_BYTES, this.#used));
    }
    this.#bytes = Buffer.alloc(0);
    this.#used = this.#start;
  }
}
