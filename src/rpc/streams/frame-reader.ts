import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { HedgerowError } from "../../errors.ts";
import { type StreamFrame, StreamFrameSchema } from "../../gen/hedgerow/v1/peer_pb.ts";

const FRAMES = (1 << 3) | 2;
const STREAM = (1 << 3) | 0;
const MESSAGES = (2 << 3) | 2;

/** Smaller messages are copied out of the envelope, which would stay in memory as long as one of them does. */
const COPIED_BYTES = 16 * 1024;
/** And those that are less than such a part of it: whoever sends may wrap a small one in a large envelope. */
const COPIED_PART = 1 / 4;

export interface FrameSink {
  onMessage(stream: number, data: Uint8Array): void;
  /** What a frame has beside its messages. */
  onFrame(frame: StreamFrame): void;
}

/** Reads CarryRequest and CarryResponse of peer.proto, which are the same. Throws `invalid_argument` for what is none. */
export function readFrames(bytes: Uint8Array, sink: FrameSink): void {
  const reader = new BinaryReader(bytes);
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag !== FRAMES) {
        reader.skip(tag & 7, tag >>> 3);
        continue;
      }
      const end = reader.uint32() + reader.pos;
      if (end > reader.len) throw new RangeError("lengths do not agree");
      readFrame(reader, bytes, end, sink);
      reader.pos = end;
    }
  } catch (cause) {
    if (cause instanceof HedgerowError) throw cause;
    throw new HedgerowError("invalid_argument", "malformed frames of streams: not valid protobuf", {
      cause,
    });
  }
}

/** Of what comes before the bytes of a message that has an envelope for itself, at the most. */
export const MAX_HEAD_BYTES = 24;

/** The head of a message that fills its whole envelope: where its bytes begin. null: the envelope holds something else. */
export function readHead(
  first: Uint8Array,
  envelopeBytes: number,
): { readonly stream: number; readonly at: number } | null {
  const reader = new BinaryReader(first);
  try {
    if (reader.uint32() !== FRAMES || reader.uint32() + reader.pos !== envelopeBytes) return null;
    if (reader.uint32() !== STREAM) return null;
    const stream = reader.uint32();
    if (reader.uint32() !== MESSAGES || reader.uint32() + reader.pos !== envelopeBytes) return null;
    return { stream, at: reader.pos };
  } catch {
    return null; // too short, or malformed: then it is found when it has come whole
  }
}

/** Most frames hold the messages of one stream and nothing else: of these no objects are made. */
function readFrame(reader: BinaryReader, bytes: Uint8Array, end: number, sink: FrameSink): void {
  const start = reader.pos;
  let read = 0;
  if (reader.pos < end && reader.uint32() === STREAM) {
    const stream = reader.uint32();
    while (reader.pos < end && reader.uint32() === MESSAGES) {
      const length = reader.uint32();
      const from = reader.pos;
      reader.pos = from + length;
      if (reader.pos > end) throw new RangeError("lengths do not agree");
      sink.onMessage(stream, ownOf(bytes.subarray(from, reader.pos), bytes.length));
      read++;
      if (reader.pos === end) return;
    }
  }
  const frame = fromBinary(StreamFrameSchema, bytes.subarray(start, end));
  for (const message of frame.messages.slice(read)) sink.onMessage(frame.stream, message.slice());
  sink.onFrame(frame);
}

/** A view of so many bytes, or a copy. */
export function ownOf(view: Uint8Array, heldBytes: number): Uint8Array {
  return view.length < Math.max(COPIED_BYTES, heldBytes * COPIED_PART)
    ? Uint8Array.prototype.slice.call(view) // a Buffer's own would not copy
    : view;
}
