import { afterEach, expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { HedgerowError } from "../../../src/errors.ts";
import {
  CarryRequestSchema,
  type StreamFrame,
  type StreamFrameSchema,
  StreamOpeningSchema,
} from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { EnvelopeReader, envelope } from "../../../src/rpc/envelopes.ts";
import { type Replies, type ServedStream, serveStream } from "../../../src/rpc/port.ts";
import { copyOf } from "../../../src/rpc/streams/frame-writer.ts";
import {
  DEFAULT_STREAM_LIMITS,
  FIRST_CREDIT_BYTES,
  maxWaitingBytes,
  MESSAGE_COST_BYTES,
  windowBytes,
} from "../../../src/rpc/streams/limits.ts";
import { StreamLink } from "../../../src/rpc/streams/link.ts";
import { ManualClock } from "../kit/clock.ts";
import { RecordingLogger } from "../kit/nodes.ts";
import { KIND } from "../kit/streams.ts";
import { until } from "../kit/wait.ts";

const KB = 1024;
const MB = KB * KB;
const KINDS = [
  { ...KIND, name: "messages" },
  { ...KIND, name: "bytes", isBytes: true },
] as const;
const NAMES = KINDS.map(({ name }) => name);
const WINDOW = windowBytes(DEFAULT_STREAM_LIMITS, 1);
const OPENING = toBinary(StreamOpeningSchema, create(StreamOpeningSchema));

const open: StreamLink[] = [];

afterEach(() => {
  for (const link of open.splice(0)) link.cut(new HedgerowError("canceled", "the test is over"));
});

type FrameInit = MessageInitShape<typeof StreamFrameSchema>;

/** One side of a connection, and what the other one, which this is, knows of its credit. */
class Sender {
  readonly inputs = new Map<number, Replies>();
  readonly served = new Map<number, ServedStream>();
  readonly credit = new Map<number, number>();
  readonly failed = new Map<number, string>();
  readonly #link: StreamLink;
  readonly #heard = new EnvelopeReader(64 * MB);

  constructor(limits = DEFAULT_STREAM_LIMITS) {
    let opened = 0;
    const routes = KINDS.map((kind) =>
      serveStream(kind, (_, input, served) => {
        this.inputs.set(++opened, input);
        this.served.set(opened, served);
        return (async function* () {
          await new Promise((resolve) => served.signal.addEventListener("abort", resolve));
          yield* [];
        })();
      }),
    );
    const [clock, logger] = [new ManualClock(), new RecordingLogger()];
    const named = new Map(routes.map((route) => [route.kind.name, route]));
    this.#link = new StreamLink({ clock, logger, limits, peer: "a sender", routes: named });
    open.push(this.#link);
    void this.#hear();
  }

  /** Whether exactly so many bytes wait for readers. */
  waits(bytes: number, limits = DEFAULT_STREAM_LIMITS): boolean {
    const room = maxWaitingBytes(limits) - bytes;
    return this.#link.hasRoom(room) && !this.#link.hasRoom(room + 1);
  }

  async open(name: string): Promise<number> {
    const stream = this.credit.size + 1;
    this.credit.set(stream, FIRST_CREDIT_BYTES);
    this.frames([{ stream, open: { kind: name, opening: OPENING } }]);
    await turn();
    return stream;
  }

  frames(frames: FrameInit[], chunkBytes = Number.POSITIVE_INFINITY): void {
    for (const { stream = 0, messages = [] } of frames) {
      const cost = messages.reduce((sum, { length }) => sum + length + MESSAGE_COST_BYTES, 0);
      this.credit.set(stream, (this.credit.get(stream) ?? 0) - cost);
    }
    const message = create(CarryRequestSchema, { frames });
    const bytes = envelope(toBinary(CarryRequestSchema, message));
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      this.#link.receive(bytes.subarray(at, at + chunkBytes));
    }
  }

  async #hear(): Promise<void> {
    for (let next = await this.#link.next(); next !== null; next = await this.#link.next()) {
      this.#heard.push(copyOf(next));
      for (let got = this.#heard.next(); got !== null; got = this.#heard.next()) {
        for (const frame of fromBinary(CarryRequestSchema, got.data).frames) this.#note(frame);
      }
    }
  }

  #note({ stream, credit, end }: StreamFrame): void {
    this.credit.set(stream, (this.credit.get(stream) ?? 0) + credit);
    if (end?.error !== undefined) this.failed.set(stream, end.error.code);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Reads so many bytes. */
async function read(input: Replies | undefined, bytes: number): Promise<void> {
  for (let got = 0; got < bytes;) {
    const { value, done } = (await input?.next()) ?? { done: true };
    if (done === true) throw new Error(`it ended after ${got} of ${bytes} bytes`);
    got += value?.length ?? 0;
  }
}

test("over long transfers the credit is what it was, whatever the messages and however they are cut", async () => {
  const message = fc.constantFrom(0, 1, 63, 1_000, 32 * KB, 40 * KB, 200 * KB, MB, 4 * MB);
  const chunk = fc.constantFrom(777, 16 * KB, 65_000, Number.POSITIVE_INFINITY);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...NAMES),
      fc.array(fc.tuple(message, chunk), { minLength: 1, maxLength: 25 }),
      async (name, messages) => {
        const sender = new Sender();
        const stream = await sender.open(name);
        const input = sender.inputs.get(stream);
        let unread = 0;
        for (const [length, chunkBytes] of [...messages, [1, 1] as const]) {
          if ((sender.credit.get(stream) ?? 0) <= 0) {
            await read(input, unread);
            unread = 0;
            await until("there is credit again", () => (sender.credit.get(stream) ?? 0) > 0);
          }
          sender.frames([{ stream, messages: [new Uint8Array(length)] }], chunkBytes);
          unread += length;
        }
        await read(input, unread);
        await turn();
        expect(sender.failed).toEqual(new Map());
        expect(sender.waits(0)).toBe(true);
        const credit = sender.credit.get(stream) ?? 0;
        expect(credit).toBeGreaterThan(WINDOW / 2);
        expect(credit).toBeLessThanOrEqual(WINDOW);
      },
    ),
    { numRuns: 40 },
  );
}, 90_000);

test.each(NAMES)(
  "small messages count while they wait: who reads one at a time is not sent more (%s)",
  async (name) => {
    for (const length of [0, 1]) {
      const sender = new Sender();
      const stream = await sender.open(name);
      const input = sender.inputs.get(stream);
      let waiting = 0;
      Bun.gc(true);
      const before = heapStats().objectCount;
      for (let reads = 0; reads < 40; reads++) {
        const credit = Math.max(0, sender.credit.get(stream) ?? 0);
        const count = Math.floor(credit / (MESSAGE_COST_BYTES + length));
        const messages = Array.from({ length: count }, () => new Uint8Array(length));
        if (count > 0) sender.frames([{ stream, messages }]);
        waiting += count;
        await input?.next();
        waiting--;
        await turn();
      }
      expect(sender.failed).toEqual(new Map());
      expect(waiting).toBeLessThanOrEqual(WINDOW / MESSAGE_COST_BYTES + 1);
      Bun.gc(true);
      expect(heapStats().objectCount - before).toBeLessThan((3 * WINDOW) / MESSAGE_COST_BYTES);
    }
  },
);

test.each(NAMES)(
  "a flood beyond the credit ends its stream with overloaded, and no other one (%s)",
  async (name) => {
    const sender = new Sender();
    const [flooded, beside] = [await sender.open(name), await sender.open(name)];
    for (let i = 0; i < 100; i++) {
      const messages = Array.from({ length: 1_000 }, () => new Uint8Array(0));
      sender.frames([{ stream: flooded, messages }]);
    }
    sender.frames([{ stream: beside, messages: [Uint8Array.of(1)] }]);
    await read(sender.inputs.get(beside), 1);
    await until("it is told", () => sender.failed.size > 0);
    expect([...sender.failed]).toEqual([[flooded, "overloaded"]]);
    expect(sender.waits(0)).toBe(true);
  },
);

test.each(NAMES)(
  "too large a message ends its stream, wherever it is cut; the others stay in step (%s)",
  async (name) => {
    const limits = { ...DEFAULT_STREAM_LIMITS, maxMessageBytes: 4 * MB };
    for (const chunkBytes of [10_000, 64 * KB, Number.POSITIVE_INFINITY]) {
      const sender = new Sender(limits);
      const [large, beside] = [await sender.open(name), await sender.open(name)];
      sender.frames([{ stream: large, messages: [new Uint8Array(4 * MB + 1)] }], chunkBytes);
      sender.frames([{ stream: beside, messages: [new Uint8Array(100 * KB)] }], chunkBytes);
      sender.frames([{ stream: large, messages: [new Uint8Array(MB)] }], chunkBytes);
      sender.frames([{ stream: beside, messages: [new Uint8Array(5)] }], chunkBytes);
      await read(sender.inputs.get(beside), 100 * KB + 5);
      await until("it is told", () => sender.failed.size > 0);
      expect([...sender.failed]).toEqual([[large, "too_large"]]);
      expect(sender.waits(0, limits)).toBe(true);
    }
  },
);

test("a stream that ends while a message comes in parts: the rest is nobody's, and what comes next is read", async () => {
  for (const way of ["fails", "leaves"] as const) {
    const sender = new Sender();
    const [ended, beside] = [await sender.open("bytes"), await sender.open("bytes")];
    const input = sender.inputs.get(ended);
    const frames = [{ stream: ended, messages: [new Uint8Array(2 * MB)] }];
    const whole = envelope(toBinary(CarryRequestSchema, create(CarryRequestSchema, { frames })));
    const [link] = open.slice(-1);
    link?.receive(whole.subarray(0, MB));
    await input?.next();
    if (way === "leaves") await input?.return?.();
    else sender.served.get(ended)?.fail(new HedgerowError("canceled", "enough"));
    link?.receive(whole.subarray(MB));
    if (way === "leaves") sender.frames([{ stream: ended, end: {} }]);
    sender.frames([{ stream: beside, messages: [new Uint8Array(100 * KB)] }]);
    await read(sender.inputs.get(beside), 100 * KB);
    expect(sender.waits(0)).toBe(true);
  }
});
