import { expect, test } from "bun:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { HedgerowError } from "../../../src/errors.ts";
import {
  CarryRequestSchema,
  type StreamFrame,
  StreamFrameSchema,
} from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { EnvelopeReader } from "../../../src/rpc/envelopes.ts";
import { readFrames } from "../../../src/rpc/streams/frame-reader.ts";
import { copyOf, FrameWriter } from "../../../src/rpc/streams/frame-writer.ts";

type FrameInit = MessageInitShape<typeof StreamFrameSchema>;

/** What the bytes say, in order: each message by itself, and each frame without its messages. */
function said(payload: Uint8Array): FrameInit[] {
  const all: FrameInit[] = [];
  readFrames(payload, {
    onMessage: (stream, data) => void all.push({ stream, messages: [data] }),
    onFrame: (frame) => void all.push({ ...frame, messages: [] }),
  });
  return all;
}

function payloads(writer: FrameWriter): Uint8Array[] {
  const reader = new EnvelopeReader(1024 * 1024);
  const all: Uint8Array[] = [];
  for (let bytes = writer.take(); bytes !== null; bytes = writer.take()) reader.push(copyOf(bytes));
  for (let next = reader.next(); next !== null; next = reader.next()) all.push(next.data);
  return all;
}

const message = fc.record({
  stream: fc.integer({ min: 1, max: 300 }),
  data: fc.uint8Array({ maxLength: 300 }),
});
const control = fc.oneof(
  fc.record({ stream: fc.nat(), credit: fc.nat() }),
  fc.record({ stream: fc.nat(), taken: fc.boolean() }),
  fc.record({ stream: fc.nat(), end: fc.constant({}) }),
  fc.record({ stream: fc.nat(), open: fc.record({ kind: fc.string(), opening: fc.uint8Array() }) }),
);

test("what is written by hand is what protobuf reads, and what it writes is read by hand", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(message, control)), fc.nat(5), (items, takes) => {
      const writer = new FrameWriter();
      const expected: FrameInit[] = [];
      const written: Uint8Array[] = [];
      for (const [i, item] of items.entries()) {
        if ("data" in item) {
          void writer.addMessage(item.stream, item.data);
          expected.push({ stream: item.stream, messages: [item.data] });
        } else {
          writer.addFrame(item);
          expected.push(item);
        }
        if (takes > 0 && i % takes === 0) written.push(...payloads(writer));
      }
      written.push(...payloads(writer));
      expect(writer.unsent).toBe(0);
      const frames = (all: readonly FrameInit[]) =>
        all.map((frame) => toBinary(StreamFrameSchema, create(StreamFrameSchema, frame)));
      expect(frames(written.flatMap(said))).toEqual(frames(expected));
      const foreign = written.map((bytes) => {
        const parsed = fromBinary(CarryRequestSchema, bytes);
        return toBinary(CarryRequestSchema, parsed);
      });
      expect(frames(foreign.flatMap(said))).toEqual(frames(expected));
    }),
    { numRuns: 200 },
  );
});

test("messages beside other fields of a frame are read once, wherever they stand", () => {
  const frame = create(StreamFrameSchema, {
    stream: 7,
    messages: [Uint8Array.of(1), Uint8Array.of(2)],
    credit: 9,
  });
  const one = toBinary(StreamFrameSchema, frame);
  const late = toBinary(
    StreamFrameSchema,
    create(StreamFrameSchema, { messages: [Uint8Array.of(3)] }),
  );
  const bytes = Buffer.concat([one, late]);
  const payload = Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]);
  const seen: (number | StreamFrame["credit"])[] = [];
  readFrames(payload, {
    onMessage: (stream, data) => void seen.push(stream, data[0] as number),
    onFrame: ({ credit }) => void seen.push(credit),
  });
  expect(seen).toEqual([7, 1, 7, 2, 7, 3, 9]);
});

test("C6: bytes that are no frames are refused, whatever they are", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        said(bytes);
      } catch (error) {
        expect(HedgerowError.is(error, "invalid_argument")).toBe(true);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("a message that was given is copied: its buffer may be used again", () => {
  const writer = new FrameWriter();
  const buffer = new Uint8Array(100).fill(1);
  void writer.addMessage(1, buffer);
  buffer.fill(2);
  expect(payloads(writer).flatMap(said)).toEqual([
    { stream: 1, messages: [new Uint8Array(100).fill(1)] },
  ]);
});

test("small messages travel together; an envelope has about 64 KiB, or one larger message", () => {
  const writer = new FrameWriter();
  for (let i = 0; i < 2_000; i++) void writer.addMessage(1, new Uint8Array(100));
  const sizes = payloads(writer).map(({ length }) => length);
  expect(sizes.length).toBeLessThan(5);
  expect(Math.max(...sizes)).toBeLessThan(66_000);
  void writer.addMessage(1, new Uint8Array(200_000));
  void writer.addMessage(2, new Uint8Array(10));
  expect(payloads(writer).map(({ length }) => length > 200_000)).toEqual([true, false]);
});
