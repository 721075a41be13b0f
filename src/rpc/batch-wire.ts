import { BinaryReader } from "@bufbuild/protobuf/wire";
import { HedgerowError } from "../errors.ts";

// BatchRequest and BatchResponse of peer.proto, written and read by hand: what is in a batch passes
// through as bytes, without objects, buffers and views for each layer around it. That halves the cost of a
// coalesced call. test/rpc/batch-wire.test.ts holds this to protobuf's own codec.

export interface WireCall<Method = string> {
  /** As in `hedgerow.v1.PeerService/Append`; encoded in advance by who writes it. */
  readonly method: Method;
  readonly message: Uint8Array;
  readonly timeoutMs: number;
}

/** `bytes` is the encoded reply, or the encoded BatchError. */
export interface WireReply {
  readonly ok: boolean;
  readonly bytes: Uint8Array;
}

// Tags: the field's number, and its wire type, 2 for bytes and 0 for a number.
const CALLS = (1 << 3) | 2;
const METHOD = (1 << 3) | 2;
const MESSAGE = (2 << 3) | 2;
const TIMEOUT_MS = (3 << 3) | 0;
const REPLIES = (1 << 3) | 2;
const REPLY = (1 << 3) | 2;
const ERROR = (2 << 3) | 2;

export function writeBatch(calls: readonly WireCall<Uint8Array>[]): Uint8Array<ArrayBuffer> {
  let total = 0;
  for (const call of calls) total += fieldSize(callSize(call));
  const writer = new Writer(total);
  for (const call of calls) {
    writer.number(CALLS);
    writer.number(callSize(call));
    writer.field(METHOD, call.method);
    writer.field(MESSAGE, call.message);
    writer.number(TIMEOUT_MS);
    writer.number(call.timeoutMs);
  }
  return writer.bytes;
}

/** Throws `invalid_argument` for what is no BatchRequest. */
export function readBatch(body: Uint8Array): WireCall[] {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length);
  return readAll(body, CALLS, (reader, end) => {
    let method = "";
    let message: Uint8Array = EMPTY;
    let timeoutMs = 0;
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag === METHOD) {
        const length = reader.uint32();
        method = text.toString("latin1", reader.pos, reader.pos + length);
        reader.pos += length;
      } else if (tag === MESSAGE) message = reader.bytes();
      else if (tag === TIMEOUT_MS) timeoutMs = reader.uint32();
      else reader.skip(tag & 7, tag >>> 3);
    }
    return { method, message, timeoutMs };
  });
}

export function writeReplies(replies: readonly WireReply[]): Uint8Array<ArrayBuffer> {
  let total = 0;
  for (const { bytes } of replies) total += replySize(bytes.length);
  const writer = new Writer(total);
  for (const { ok, bytes } of replies) {
    writer.number(REPLIES);
    writer.number(fieldSize(bytes.length));
    writer.field(ok ? REPLY : ERROR, bytes);
  }
  return writer.bytes;
}

/** What a reply of so many bytes takes in the response. */
export function replySize(bytes: number): number {
  return fieldSize(fieldSize(bytes));
}

/** Throws `invalid_argument` for what is no BatchResponse. */
export function readReplies(body: Uint8Array): WireReply[] {
  return readAll(body, REPLIES, (reader, end) => {
    let reply: WireReply = { ok: false, bytes: EMPTY };
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag === REPLY) reply = { ok: true, bytes: reader.bytes() };
      else if (tag === ERROR) reply = { ok: false, bytes: reader.bytes() };
      else reader.skip(tag & 7, tag >>> 3);
    }
    return reply;
  });
}

const EMPTY = new Uint8Array();

function readAll<T>(
  body: Uint8Array,
  field: number,
  readOne: (reader: BinaryReader, end: number) => T,
): T[] {
  const reader = new BinaryReader(body);
  const all: T[] = [];
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag !== field) {
        reader.skip(tag & 7, tag >>> 3);
        continue;
      }
      const end = reader.uint32() + reader.pos;
      all.push(readOne(reader, end));
      if (reader.pos !== end || end > reader.len) throw new RangeError("lengths do not agree");
    }
  } catch (cause) {
    throw new HedgerowError("invalid_argument", "malformed batch: not valid protobuf", { cause });
  }
  return all;
}

function callSize({ method, message, timeoutMs }: WireCall<Uint8Array>): number {
  return fieldSize(method.length) + fieldSize(message.length) + 1 + numberSize(timeoutMs);
}

/** A tag of one byte, a length, and so many bytes. */
function fieldSize(bytes: number): number {
  return 1 + numberSize(bytes) + bytes;
}

function numberSize(value: number): number {
  if (value < 2 ** 7) return 1;
  if (value < 2 ** 14) return 2;
  if (value < 2 ** 21) return 3;
  return value < 2 ** 28 ? 4 : 5;
}

class Writer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  #position = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }

  number(value: number): void {
    let left = value;
    for (; left > 0x7f; left >>>= 7) this.bytes[this.#position++] = (left & 0x7f) | 0x80;
    this.bytes[this.#position++] = left;
  }

  field(tag: number, content: Uint8Array): void {
    this.number(tag);
    this.number(content.length);
    this.bytes.set(content, this.#position);
    this.#position += content.length;
  }
}
