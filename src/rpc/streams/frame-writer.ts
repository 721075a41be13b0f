import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { StreamFrameSchema } from "../../gen/hedgerow/v1/peer_pb.ts";
import { ENVELOPE_BYTES } from "./limits.ts";

// CarryRequest and CarryResponse of peer.proto, which are the same, written by hand: a message is copied once, to
// its place in the envelope that carries it. test/rpc/streams/frames.test.ts holds this to protobuf's own codec.

/** Bytes that are left free around an envelope for what carries it. */
export interface Room {
  readonly before: number;
  readonly after: number;
}

export const NO_ROOM: Room = { before: 0, after: 0 };

/** Flags and length before each message of a Connect stream. */
const ENVELOPE_HEADER = 5;
/** A tag, and a length that is filled in when it is known: a varint may be longer than it needs to be. */
const FRAME_HEADER = 6;
const FRAMES = (1 << 3) | 2;
const STREAM = (1 << 3) | 0;
const MESSAGES = (2 << 3) | 2;
const NUMBER_BYTES = 5;
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
  readonly #full: Buffer<ArrayBuffer>[] = [];
  #fullBytes = 0;

  constructor(private readonly room: Room = NO_ROOM) {
    this.#start = room.before + ENVELOPE_HEADER;
    this.#used = this.#start;
  }

  /** Bytes that wait to be taken. */
  get unsent(): number {
    return this.#fullBytes + this.#used - this.#start;
  }

  addMessage(stream: number, data: Uint8Array): void {
    this.#reserve(OVERHEAD + data.length);
    if (this.#frameAt === 0 || this.#frameStream !== stream) this.#openFrame(stream);
    this.#bytes[this.#used++] = MESSAGES;
    this.#number(data.length);
    this.#bytes.set(data, this.#used);
    this.#used += data.length;
    if (this.#used >= ENVELOPE_BYTES) this.#seal();
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

  /** The next envelope, with the room around it; null if there is nothing to send. */
  take(): Uint8Array<ArrayBuffer> | null {
    if (this.#full.length === 0) {
      if (this.#used === this.#start) return null;
      this.#seal();
    }
    const envelope = this.#full.shift() as Buffer<ArrayBuffer>;
    this.#fullBytes -= envelope.length;
    return envelope;
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

  #closeFrame(): void {
    if (this.#frameAt === 0) return;
    let left = this.#used - this.#frameAt - FRAME_HEADER;
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
    const { after } = this.room;
    if (this.#used + bytes + after <= this.#bytes.length) return;
    if (Math.min(this.#used, bytes) >= ENVELOPE_BYTES / 4) this.#seal();
    const needed = this.#used + bytes + after;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#expected, 2 * this.#used));
    larger.set(this.#bytes.subarray(0, this.#used));
    this.#bytes = larger;
  }

  #seal(): void {
    this.#closeFrame();
    const { before, after } = this.room;
    this.#bytes[before] = 0;
    this.#bytes.writeUInt32BE(this.#used - this.#start, before + 1);
    const envelope = this.#bytes.subarray(0, this.#used + after);
    this.#full.push(envelope);
    this.#fullBytes += envelope.length;
    this.#expected = Math.max(LEAST_BYTES, Math.min(ENVELOPE_BYTES, this.#used));
    this.#bytes = Buffer.alloc(0);
    this.#used = this.#start;
  }
}
