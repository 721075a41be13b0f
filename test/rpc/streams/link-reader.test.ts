import { expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { CarryRequestSchema } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { envelope } from "../../../src/rpc/envelopes.ts";
import { copyOf, FrameWriter } from "../../../src/rpc/streams/frame-writer.ts";
import { LinkReader, type LinkSink } from "../../../src/rpc/streams/link-reader.ts";

const KB = 1024;
const MB = KB * KB;
/** Streams of this number on carry bytes. */
const BYTES = 100;

interface Message {
  readonly stream: number;
  readonly data: Uint8Array;
}

/** What a reader tells, as messages: those that come in parts are put together. */
class Told implements LinkSink {
  readonly messages: Message[] = [];
  readonly ends: number[] = [];
  parts = 0;
  least = Number.POSITIVE_INFINITY;
  /** Whether parts are done with at once. */
  passes = false;
  #comes: { readonly stream: number; readonly data: Buffer; at: number } | null = null;

  onMessage(stream: number, data: Uint8Array): void {
    if (this.#comes !== null) throw new Error("a message within another one");
    this.messages.push({ stream, data: new Uint8Array(data) });
  }

  onFrame({ stream }: { stream: number }): void {
    this.ends.push(stream);
  }

  beginsParts(stream: number, bytes: number): boolean {
    if (stream < BYTES) return false;
    if (this.#comes !== null) throw new Error("a message within another one");
    this.#comes = { stream, data: Buffer.alloc(bytes), at: 0 };
    return true;
  }

  passesOn(): boolean {
    return this.passes;
  }

  /** Whether a message comes in parts, of which more are to come. */
  get hasBegun(): boolean {
    return this.#comes !== null;
  }

  onPart(stream: number, part: Uint8Array): void {
    const comes = this.#comes;
    if (comes?.stream !== stream) throw new Error("a part of nothing");
    comes.data.set(part, comes.at);
    comes.at += part.length;
    this.parts++;
    this.least = Math.min(this.least, part.length);
  }

  onEnvelope(): void {
    const comes = this.#comes;
    if (comes === null) return;
    if (comes.at !== comes.data.length) throw new Error("another length than was announced");
    this.messages.push({ stream: comes.stream, data: new Uint8Array(comes.data) });
    this.#comes = null;
  }
}

const block = Buffer.from(Array.from({ length: 251 }, (_, i) => i));

function messageOf(stream: number, length: number): Message {
  return { stream, data: new Uint8Array(Buffer.alloc(length, block)) };
}

/** The messages as they are sent, each followed by a frame of its stream. */
function written(messages: readonly Message[], asProtobuf = false): Buffer {
  const writer = new FrameWriter();
  const pieces: Uint8Array[] = [];
  const take = () => {
    for (let next = writer.take(); next !== null; next = writer.take()) pieces.push(copyOf(next));
  };
  for (const { stream, data } of messages) {
    if (asProtobuf) {
      take();
      const frames = [{ stream, messages: [data] }];
      pieces.push(envelope(toBinary(CarryRequestSchema, create(CarryRequestSchema, { frames }))));
    } else {
      void writer.addMessage(stream, data);
    }
    writer.addFrame({ stream, credit: 1 });
  }
  take();
  return Buffer.concat(pieces);
}

function check(told: Told, messages: readonly Message[]): void {
  expect(told.messages.map(({ stream, data }) => [stream, data.length])).toEqual(
    messages.map(({ stream, data }) => [stream, data.length]),
  );
  for (const [i, { data }] of messages.entries()) {
    if (Buffer.compare(told.messages[i]?.data as Uint8Array, data) !== 0) throw new Error(`${i}`);
  }
  expect(told.ends).toEqual(messages.map(({ stream }) => stream));
}

const LARGE = [
  messageOf(1, 5),
  messageOf(BYTES, 200 * KB),
  messageOf(2, 150 * KB),
  messageOf(BYTES + 2 ** 20, 128 * KB),
  messageOf(BYTES, 0),
];

test.each([false, true])(
  "messages come as they were sent, wherever they are cut in two (by protobuf: %p)",
  (asProtobuf) => {
    const sent = written(LARGE, asProtobuf);
    const heads: number[] = [];
    for (let at = 0; at < sent.length; at += 1 + sent.readUInt32BE(at + 1) + 4) heads.push(at);
    expect(heads.length).toBeGreaterThan(5);
    for (const head of heads) {
      for (let cut = Math.max(0, head - 8); cut < Math.min(sent.length, head + 40); cut++) {
        const told = new Told();
        const reader = new LinkReader("a peer", told);
        reader.push(sent.subarray(0, cut));
        reader.push(sent.subarray(cut));
        check(told, LARGE);
      }
    }
  },
);

test("they do in whatever chunks they come, many of them in one or byte by byte", () => {
  const message = fc
    .tuple(
      fc.constantFrom(1, 2, BYTES, BYTES + 1, BYTES + 2 ** 30),
      fc.constantFrom(0, 1, 100, 20 * KB, 32 * KB, 40 * KB, 128 * KB - 1, 128 * KB, 300 * KB),
    )
    .map(([stream, length]) => messageOf(stream, length));
  const size = fc.constantFrom(1, 2, 3, 7, 23, 24, 25, 1_000, 16 * KB, 64 * KB, 512 * KB);
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 6 }),
      fc.array(size, { minLength: 1, maxLength: 10 }),
      fc.boolean(),
      fc.boolean(),
      (messages, sizes, asProtobuf, passes) => {
        const sent = written(messages, asProtobuf);
        const told = new Told();
        told.passes = passes;
        const reader = new LinkReader("a peer", told);
        for (let at = 0, i = 0; at < sent.length; i++) {
          const end = at + (sizes[i % sizes.length] as number);
          const whole = told.hasBegun ? told.messages.length : -1;
          const isFree = reader.push(sent.subarray(at, end));
          at = end;
          // Of what lies within one message nothing is kept, unless its parts are.
          if (told.hasBegun && told.messages.length === whole) expect(isFree).toBe(passes);
        }
        check(told, messages);
      },
    ),
    { numRuns: 60 },
  );
});

test("a message that comes byte by byte is neither many parts nor many objects", () => {
  for (const stream of [1, BYTES]) {
    const sent = written([messageOf(stream, MB)]);
    const told = new Told();
    const reader = new LinkReader("a peer", told);
    Bun.gc(true);
    const before = heapStats().objectCount;
    for (let at = 0; at < sent.length; at++) {
      reader.push(sent.subarray(at, at + 1));
      if (at !== sent.length >> 1) continue;
      Bun.gc(true);
      expect(heapStats().objectCount - before).toBeLessThan(100_000);
    }
    check(told, [messageOf(stream, MB)]);
    expect(told.parts).toBeLessThan(MB / 512);
  }
});

test("what has come of a message that is read whole is not copied with each chunk", () => {
  const sent = written([messageOf(1, 64 * MB)]);
  const told = new Told();
  const reader = new LinkReader("a peer", told);
  const began = performance.now();
  reader.push(sent.subarray(0, 10)); // ends within the head
  for (let at = 10; at < sent.length; at += 16 * KB) reader.push(sent.subarray(at, at + 16 * KB));
  expect(performance.now() - began).toBeLessThan(4_000); // 128 GB would be copied otherwise
  expect(told.messages[0]?.data.length).toBe(64 * MB);
});
