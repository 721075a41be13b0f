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
      sink.onMessage(stream, messageOf(bytes, from, reader.pos));
      read++;
      if (reader.pos === end) return;
    }
  }
  const frame = fromBinary(StreamFrameSchema, bytes.subarray(start, end));
  for (const message of frame.messages.slice(read)) sink.onMessage(frame.stream, message.slice());
  sink.onFrame(frame);
}

function messageOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return to - from < Math.max(COPIED_BYTES, bytes.length * COPIED_PART)
    ? Uint8Array.prototype.slice.call(bytes, from, to) // a Buffer's own would not copy
    : bytes.subarray(from, to);
}
