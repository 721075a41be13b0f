import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import {
  SpillReadResponseSchema,
  type StreamToLeaderRequest,
  StreamToLeaderRequestSchema,
  StreamToLeaderResponseSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { MessageReader, MessageWires, MessageWriter } from "../rpc/message-wire.ts";

// test/http/wires.test.ts holds these to protobuf's own codec.

/** Tags: the field's number, and its wire type, 2 for bytes and 0 for a number. */
const DATA = (1 << 3) | 2;
const FIRST = (1 << 3) | 0;
const RECORDS = (2 << 3) | 2;

type Request = Pick<StreamToLeaderRequest, "part">;

const readToLeader: MessageReader<Request> = (bytes) => {
  const { length } = bytes;
  if (bytes[0] !== DATA) return null;
  let size = 0;
  let at = 1;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = bytes[at++] ?? 0x80;
    size |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at + size === length ? dataOf(bytes.subarray(at)) : null;
  }
  return null;
};

function dataOf(value: Uint8Array): Request {
  return { part: { case: "data", value: value as Uint8Array<ArrayBuffer> } };
}

const EMPTY = new Uint8Array();

const leaderReply: MessageWriter<MessageInitShape<typeof StreamToLeaderResponseSchema>> = {
  sizeOf: ({ data = EMPTY }) => (data.length === 0 ? 0 : fieldSize(data.length)),
  write({ data = EMPTY }, into, at) {
    if (data.length > 0) writeField(into, at, DATA, data);
  },
};

const spilled: MessageWriter<MessageInitShape<typeof SpillReadResponseSchema>> = {
  sizeOf({ first = 0n, records = [] }) {
    let size = first === 0n ? 0 : 1 + bigSize(first);
    for (const { length } of records) size += fieldSize(length);
    return size;
  },
  write({ first = 0n, records = [] }, into, start) {
    let at = start;
    if (first !== 0n) {
      into[at++] = FIRST;
      at = writeBig(into, at, first);
    }
    for (const record of records) at = writeField(into, at, RECORDS, record);
  },
};

/** Of the client API's streams. */
export const CLIENT_WIRES: MessageWires = {
  writers: new Map<DescMessage, MessageWriter>([
    [StreamToLeaderResponseSchema, leaderReply],
    [SpillReadResponseSchema, spilled],
  ]),
  readers: new Map<DescMessage, MessageReader>([[StreamToLeaderRequestSchema, readToLeader]]),
};

/** Of a field with so many bytes. */
function fieldSize(length: number): number {
  return 1 + numberSize(length) + length;
}

function numberSize(value: number): number {
  let size = 1;
  for (let left = value; left > 0x7f; left >>>= 7) size++;
  return size;
}

function bigSize(value: bigint): number {
  let size = 1;
  for (let left = value; left > 0x7fn; left >>= 7n) size++;
  return size;
}

/** Gives the place behind it. */
function writeField(into: Uint8Array, start: number, tag: number, bytes: Uint8Array): number {
  let at = start;
  into[at++] = tag;
  let left = bytes.length;
  for (; left > 0x7f; left >>>= 7) into[at++] = (left & 0x7f) | 0x80;
  into[at++] = left;
  into.set(bytes, at);
  return at + bytes.length;
}

function writeBig(into: Uint8Array, start: number, value: bigint): number {
  let at = start;
  let left = value;
  for (; left > 0x7fn; left >>= 7n) into[at++] = Number(left & 0x7fn) | 0x80;
  into[at++] = Number(left);
  return at;
}
