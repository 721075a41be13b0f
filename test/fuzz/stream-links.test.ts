import { expect, test } from "bun:test";
import { heapStats } from "bun:jsc";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import {
  CarryRequestSchema,
  type StreamFrameSchema,
  StreamOpeningSchema,
} from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { EnvelopeReader, envelope } from "../../src/rpc/envelopes.ts";
import { type Replies, type StreamInput, serveStream } from "../../src/rpc/port.ts";
import { readFrames } from "../../src/rpc/streams/frame-reader.ts";
import { copyOf } from "../../src/rpc/streams/frame-writer.ts";
import { DEFAULT_STREAM_LIMITS } from "../../src/rpc/streams/limits.ts";
import { StreamLink } from "../../src/rpc/streams/link.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { KIND } from "../rpc/kit/streams.ts";
import { until } from "../rpc/kit/wait.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { chunksOf, mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes, type Plausible } from "./kit/messages.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// One side of a connection of streams whose other side lies: the one that serves streams, and the one that opens them.

type FrameInit = MessageInitShape<typeof StreamFrameSchema>;

const MB = 1024 * 1024;
const OPENING = toBinary(StreamOpeningSchema, create(StreamOpeningSchema, { from: "10.0.0.9:1" }));
const KINDS = ["echo", "mute", "flood", "refuse", "leave"] as const;
const PLAUSIBLE: Plausible = {
  stream: [0, 1, 2, 3, 4, 100, 2 ** 32 - 1],
  credit: [0, 1, 64 * 1024, 2 ** 32 - 1],
  kind: KINDS,
};
const OVER = new HedgerowError("canceled", "the connection is over");

/** An envelope with these frames. */
function carried(...frames: readonly FrameInit[]): Uint8Array<ArrayBuffer> {
  return envelope(
    toBinary(CarryRequestSchema, create(CarryRequestSchema, { frames: [...frames] })),
  );
}

function opens(stream: number, kind: string): FrameInit {
  return { stream, open: { kind, opening: OPENING } };
}

async function* silence(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
  yield new Uint8Array();
}

async function* flood(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(1_000);
}

/** The side that serves streams, by handlers that count what they have under way. */
class Served {
  readonly logger = new RecordingLogger();
  readonly link: StreamLink;
  underWay = 0;

  constructor() {
    const handlers: Record<string, (input: Replies, signal: AbortSignal) => StreamInput> = {
      echo: (input) => input,
      mute: (_, signal) => silence(signal),
      flood,
      refuse() {
        throw new HedgerowError("forbidden", "no");
      },
      leave(input, signal) {
        void input.return?.();
        return silence(signal);
      },
    };
    const routes = KINDS.map((name) =>
      serveStream({ ...KIND, name }, (_, input, { signal }) => {
        this.underWay++;
        signal.addEventListener("abort", () => this.underWay--, { once: true });
        return handlers[name]?.(input, signal) ?? [];
      }),
    );
    this.link = new StreamLink({
      clock: new ManualClock(),
      logger: this.logger,
      peer: "a liar",
      routes: new Map(routes.map((route) => [route.kind.name, route])),
    });
  }
}

/** What a liar says who knows the protocol: in each envelope a few frames, of any order and meaning. */
class Liar {
  #opened = 0;

  /** `opensOften`: as one that may. */
  constructor(
    private readonly prng: Prng,
    private readonly opensOften: boolean,
  ) {}

  envelope(): Uint8Array {
    const { prng } = this;
    if (prng.chance(0.03)) {
      return envelope(hostileBytes(prng, CarryRequestSchema, PLAUSIBLE));
    }
    const bytes = carried(...Array.from({ length: 1 + prng.int(6) }, () => this.#frame()));
    if (prng.chance(0.01)) bytes[0] = prng.pick([1, 2, 3, 255]);
    return prng.chance(0.01) ? mutate(prng, bytes) : bytes;
  }

  #frame(): FrameInit {
    const { prng } = this;
    if (this.opensOften ? prng.chance(0.3) : prng.chance(0.005)) return this.#open();
    const stream = prng.chance(0.9) ? 1 + prng.int(5) : prng.pick([0, 7_000, 2 ** 32 - 1]);
    const some = () => Array.from({ length: prng.int(40) }, () => randomBytes(prng, 2_000));
    return prng.pick<() => FrameInit>([
      () => ({ stream, messages: some() }),
      () => ({ stream, messages: some(), credit: 1, end: {} }),
      () => ({ stream, messages: [new Uint8Array(prng.pick([64 * 1024, MB]))] }),
      () => ({ stream, credit: prng.pick([0, 1, 1_000, 2 ** 32 - 1]) }),
      () => ({ stream, end: {} }),
      () => ({ stream, end: { error: { code: prng.pick(["forbidden", "x"]), message: "m" } } }),
      () => ({ stream, taken: true }),
    ])();
  }

  #open(): FrameInit {
    const { prng } = this;
    this.#opened += prng.chance(0.97) ? 1 : prng.pick([0, 0, 1_000_000]);
    return opens(this.#opened, prng.pick([...KINDS, ...KINDS, "nothing", ""]));
  }
}

function tell(prng: Prng, link: StreamLink, bytes: Uint8Array): void {
  for (const chunk of prng.chance(0.2) ? chunksOf(prng, bytes) : [bytes]) link.receive(chunk);
}

/** What is there comes by promises alone. */
function turn(): Promise<null> {
  return new Promise((resolve) => setImmediate(resolve, null));
}

/** Takes a part of what it has to say. */
async function hear(link: StreamLink, envelopes: number): Promise<Uint8Array[]> {
  const heard: Uint8Array[] = [];
  while (heard.length < envelopes) {
    const next = await Promise.race([link.next(), turn()]);
    if (next === null) break;
    heard.push(copyOf(next));
  }
  return heard;
}

/** The frames, all of which its own reader must take. */
function framesIn(heard: readonly Uint8Array[]) {
  const reader = new EnvelopeReader(100 * MB);
  for (const bytes of heard) reader.push(bytes);
  const frames: FrameInit[] = [];
  for (let next = reader.next(); next !== null; next = reader.next()) {
    frames.push(...fromBinary(CarryRequestSchema, next.data).frames);
  }
  return frames;
}

test(
  "who serves streams to a liar ends them, and none goes on behind the end of the connection",
  async () => {
    let ended = 0;
    let outlived = 0;
    await asyncRounds(60, async (prng) => {
      const served = new Served();
      const { link, logger } = served;
      const liar = new Liar(prng, true);
      for (let left = 25; left > 0 && !link.ended; left--) {
        tell(prng, link, liar.envelope());
        if (prng.chance(0.3)) framesIn(await hear(link, 1 + prng.int(3)));
      }
      if (link.ended) ended++;
      else outlived++;
      link.cut(OVER);
      expect(link.idle).toBe(true);
      await until("all handlers are told of the end", () => served.underWay === 0);
      expect(logger.lines).toEqual([]);
    });
    expect(Math.min(ended, outlived)).toBeGreaterThan(10);
  },
  boundMs(20_000),
);

test(
  "who opens streams to a liar has each end, typed, or go on until the connection ends",
  async () => {
    const codes = new Set<string>();
    await asyncRounds(60, async (prng) => {
      const clock = new ManualClock();
      const link = new StreamLink({ clock, logger: new RecordingLogger(), peer: "a liar" });
      const liar = new Liar(prng, false);
      const use = async (input: StreamInput) => {
        try {
          const replies = await link.open(KIND, {}, input, { timeoutMs: 1_000 });
          for await (const reply of replies) expect(reply).toBeInstanceOf(Uint8Array);
          return "ended well";
        } catch (error) {
          // What the other side says of itself is its own word.
          if (HedgerowError.is(error, "internal")) return error.code;
          return expectTyped(error, () => "a stream");
        }
      };
      const uses = [use([]), use(["a", "b"]), use(flood()), use(flood())];
      for (let left = 25; left > 0 && !link.ended; left--) {
        tell(prng, link, liar.envelope());
        if (prng.chance(0.3)) framesIn(await hear(link, 1 + prng.int(3)));
        if (prng.chance(0.05)) uses.push(use(["c"]));
      }
      link.cut(OVER);
      for (const code of await Promise.all(uses)) codes.add(code);
      expect(link.idle).toBe(true);
    });
    expect([...codes]).toEqual(
      expect.arrayContaining(["canceled", "ended well", "forbidden", "invalid_argument"]),
    );
  },
  boundMs(20_000),
);

/** Streams of which the other side was told that they failed, by their code. */
function failedIn(frames: readonly FrameInit[]): Map<number, string> {
  const failures = frames.filter(({ end }) => end?.error !== undefined);
  return new Map(failures.map(({ stream, end }) => [stream ?? 0, end?.error?.code ?? ""]));
}

test("large messages that nobody reads end their streams before they fill the memory, and others go on", async () => {
  const { link } = new Served();
  const { maxMessageBytes, maxBufferedBytes } = DEFAULT_STREAM_LIMITS;
  const large = new Uint8Array(maxMessageBytes);
  const streams = 90;
  for (let stream = 1; stream <= streams; stream++) {
    link.receive(carried(opens(stream, "mute")));
    link.receive(carried({ stream, messages: [large] }));
  }
  const failed = failedIn(framesIn(await hear(link, 1_000)));
  expect(new Set(failed.values())).toEqual(new Set(["overloaded"]));
  expect((streams - failed.size) * maxMessageBytes).toBeLessThanOrEqual(32 * maxBufferedBytes);
  // Those that end make room for others.
  for (let stream = 1; stream <= 10; stream++) {
    link.receive(carried({ stream, end: { error: { code: "canceled", message: "" } } }));
  }
  link.receive(carried(opens(1_000, "echo"), { stream: 1_000, messages: [large] }));
  const replied = framesIn(await hear(link, 1_000)).filter(({ stream }) => stream === 1_000);
  expect(replied.flatMap(({ messages = [] }) => messages)[0]?.length).toBe(maxMessageBytes);
  link.cut(OVER);
});

test("what a handler leaves unread takes no room from others", async () => {
  const { link } = new Served();
  const large = new Uint8Array(DEFAULT_STREAM_LIMITS.maxMessageBytes);
  for (let stream = 1; stream <= 90; stream++) {
    link.receive(carried(opens(stream, "leave")));
    await null;
    link.receive(carried({ stream, messages: [large] }));
  }
  expect(failedIn(framesIn(await hear(link, 1_000))).size).toBe(0);
  link.cut(OVER);
});

test("who opens streams for ever and reads nothing is cut off", async () => {
  const { link } = new Served();
  let stream = 0;
  let opened = 0;
  for (; !link.ended && opened < 2_000_000; opened += 1_000) {
    const frames = Array.from({ length: 1_000 }, () => opens(++stream, "x".repeat(64)));
    link.receive(carried(...frames));
  }
  expect(link.ended).toBe(true);
  const heard = await hear(link, 10_000);
  expect(heard.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(32 * MB);
}, 90_000);

test("who serves streams opens none", async () => {
  const link = new StreamLink({
    clock: new ManualClock(),
    logger: new RecordingLogger(),
    peer: "a liar",
  });
  const before = link.open(KIND, {}, []).catch((error: HedgerowError) => error.code);
  link.receive(carried(opens(2 ** 32 - 1, "echo")));
  const after = link.open(KIND, {}, []).catch((error: HedgerowError) => error.code);
  expect(await Promise.all([before, after])).toEqual(["invalid_argument", "invalid_argument"]);
});

test("an envelope that comes byte by byte takes little more than its size", () => {
  const data = envelope(new Uint8Array(2 * MB));
  const reader = new EnvelopeReader(65 * MB);
  Bun.gc(true);
  const before = heapStats().objectCount;
  for (let at = 0; at < data.length - 1; at++) reader.push(data.subarray(at, at + 1));
  expect(reader.next()).toBeNull();
  Bun.gc(true);
  expect(heapStats().objectCount - before).toBeLessThan(100_000);
  reader.push(data.subarray(-1));
  expect(reader.next()?.data.length).toBe(2 * MB);
});

test("a message is not kept with the whole of a much larger envelope", () => {
  const frame = toBinary(
    CarryRequestSchema,
    create(CarryRequestSchema, {
      frames: [{ stream: 1, messages: [new Uint8Array(100_000)] }],
    }),
  );
  const filler = Buffer.concat([Uint8Array.of(0x12, 0x80, 0x80, 0x40), new Uint8Array(MB)]);
  const kept: number[] = [];
  const onMessage = (_: number, { buffer }: Uint8Array) => void kept.push(buffer.byteLength);
  readFrames(Buffer.concat([frame, filler]), { onMessage, onFrame() {} });
  expect(kept).toEqual([100_000]);
});
