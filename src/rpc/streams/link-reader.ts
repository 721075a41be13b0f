import { HedgerowError } from "../../errors.ts";
import { END_OF_STREAM_FLAG, EnvelopeReader, type Header } from "../envelopes.ts";
import { type FrameSink, MAX_HEAD_BYTES, ownOf, readFrames, readHead } from "./frame-reader.ts";
import { MAX_ENVELOPE_BYTES } from "./limits.ts";

/** From this size on, messages of streams of bytes are read before they have come whole. */
const PARTED_BYTES = 32 * 1024;
/** Parts wait for so many bytes: those that came one by one are joined meanwhile. */
const GATHERED_BYTES = 16 * 1024;

export interface LinkSink extends FrameSink {
  /** Whether a message of so many bytes, which has begun, is taken in parts. */
  beginsParts(stream: number, bytes: number): boolean;
  /** Whether parts are done with as soon as they are given. */
  passesOn(stream: number): boolean;
  onPart(stream: number, data: Uint8Array): void;
  /** An envelope has been read. */
  onEnvelope(): void;
}

/** Reads what comes over a connection of streams, cut anywhere. */
export class LinkReader {
  readonly #envelopes = new EnvelopeReader(MAX_ENVELOPE_BYTES);
  /** The stream of the message of which parts have been read, and how many of its bytes are to come. */
  #stream = 0;
  #left = 0;
  /** The envelope that comes, if it is to be read whole. */
  #whole: Header | null = null;
  /** Whether something of what is pushed may be looked at later. */
  #keeps = false;

  constructor(
    /** The other side, for messages. */
    private readonly peer: string,
    private readonly sink: LinkSink,
  ) {}

  /**
   * Gives whether nothing of it is looked at any more. Throws `invalid_argument` for what is malformed, `outcome_unknown`
   * at the end.
   */
  push(bytes: Uint8Array): boolean {
    this.#keeps = false;
    this.#envelopes.push(bytes);
    while (this.#left > 0 ? this.#readPart() : this.#readEnvelope());
    return !this.#keeps && this.#envelopes.unread === 0;
  }

  /** False if more has to come first. */
  #readEnvelope(): boolean {
    const next = this.#envelopes.next();
    if (next === null) return this.#beginParts();
    if (next.flags === END_OF_STREAM_FLAG) throw closed(this.peer);
    if (next.flags !== 0) throw unknownEnvelope();
    this.#keeps = true;
    readFrames(next.data, this.sink);
    this.sink.onEnvelope();
    return true;
  }

  /** Whether what comes is a large message that is taken in parts. */
  #beginParts(): boolean {
    const { coming } = this.#envelopes;
    if (coming === null || coming === this.#whole) return false;
    if (coming.flags !== 0 || coming.length < PARTED_BYTES) return false;
    const first = this.#envelopes.peek(MAX_HEAD_BYTES);
    if (first.length < MAX_HEAD_BYTES) return false;
    const head = readHead(first, coming.length);
    if (head === null || !this.sink.beginsParts(head.stream, coming.length - head.at)) {
      this.#whole = coming;
      return false;
    }
    this.#stream = head.stream;
    this.#left = coming.length - head.at;
    for (let at = 0; at < head.at;) at += this.#envelopes.part(1, head.at - at)?.length ?? head.at;
    return true;
  }

  #readPart(): boolean {
    const passesOn = this.sink.passesOn(this.#stream);
    const least = passesOn ? 1 : Math.min(GATHERED_BYTES, this.#left);
    const part = this.#envelopes.part(least, this.#left);
    if (part === null) return false;
    this.#left -= part.length;
    if (!passesOn) this.#keeps = true;
    this.sink.onPart(this.#stream, passesOn ? part : ownOf(part, part.buffer.byteLength));
    if (this.#left === 0) this.sink.onEnvelope();
    return true;
  }
}

function unknownEnvelope(): HedgerowError {
  return new HedgerowError("invalid_argument", "an envelope with unknown flags");
}

function closed(peer: string): HedgerowError {
  return new HedgerowError("outcome_unknown", `${peer} closed the connection of its streams`);
}
