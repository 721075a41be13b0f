import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { type Received, type StreamInput, serveStream } from "../../src/rpc/port.ts";
import { copyOf, LENT_BYTES, type Outgoing } from "../../src/rpc/streams/frame-writer.ts";
import { DEFAULT_STREAM_LIMITS } from "../../src/rpc/streams/limits.ts";
import { StreamLink } from "../../src/rpc/streams/link.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { KIND } from "../rpc/kit/streams.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";
import { Prng } from "../simulation/world/prng.ts";
import { chunksOf } from "./kit/bytes.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// Large messages are sent from where they are: sources that use their buffers again find out whether anybody looks at
// them too late, and whether they are always left. What came is overwritten as soon as its receiver says that it is free.

const KINDS = [
  { ...KIND, name: "messages" },
  { ...KIND, name: "bytes", isBytes: true },
] as const;
const OVER = new HedgerowError("canceled", "the connection is over");

/** What a reader that has enough throws. */
const STOPPED = new Error("enough");

const PERIOD = 65_536;
const block = Buffer.from(Array.from({ length: PERIOD }, byteOf(new Prng(1))));
const noise = Buffer.concat(Array.from({ length: 11 }, () => block));

function byteOf(prng: Prng): () => number {
  return () => prng.int(256);
}

/** What is in message `n` of a stream from byte `from` on. */
function messageOf(stream: number, n: number, from: number, length: number): Buffer {
  const start = (stream * 71 + n * 31 + from) % PERIOD;
  return noise.subarray(start, start + length);
}

/** Messages out of one buffer, which is another message as soon as the next one is asked for, or garbage. */
class Source implements AsyncIterableIterator<Uint8Array> {
  /** How often it was left, and how often it ended by itself. */
  left = 0;
  ended = 0;
  begun = false;
  sent = 0;
  readonly #buffer: Uint8Array;

  constructor(
    private readonly prng: Prng,
    private readonly stream: number,
    private readonly sizes: readonly number[],
    private readonly carriers: readonly Carrier[],
  ) {
    this.#buffer = new Uint8Array(Math.max(1, ...sizes));
  }

  get idle(): boolean {
    return !this.begun || this.left + this.ended > 0;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    this.begun = true;
    this.#spoil();
    const n = this.sent++;
    const size = this.sizes[n];
    if (this.prng.chance(0.3)) await turn();
    if (size === undefined) {
      this.ended++;
      return { done: true, value: undefined };
    }
    this.#buffer.set(messageOf(this.stream, n, 0, size));
    return { done: false, value: this.#buffer.subarray(0, size) };
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.left++;
    this.#spoil();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #spoil(): void {
    for (const { held } of this.carriers) {
      if (held?.buffer === this.#buffer.buffer) throw new Error("it is being sent");
    }
    this.#buffer.fill(0xee);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Brings what one end says to the other one: the body from where it is, at its own pace. */
class Carrier {
  /** What it looks at. */
  held: Uint8Array | null = null;
  stopped = false;

  constructor(private readonly prng: Prng) {}

  async carry(from: StreamLink, to: StreamLink): Promise<void> {
    for (let next = await from.next(); next !== null; next = await from.next()) {
      this.held = next.body;
      for (const bytes of this.#pieces(next)) {
        if (this.prng.chance(0.2)) await turn();
        if (this.stopped) return; // it never asks again
        if (to.receive(bytes)) bytes.fill(0xee);
      }
      this.held = null;
    }
    to.cut(OVER);
  }

  /** Copied when it is their turn, as into a socket that takes more. */
  *#pieces(next: Outgoing): Generator<Uint8Array> {
    for (const part of next.body === null ? [next.head] : [next.head, next.body]) {
      for (const chunk of this.prng.chance(0.1) ? chunksOf(this.prng, part) : [part]) {
        yield new Uint8Array(chunk);
      }
    }
  }
}

function sizesOf(prng: Prng): number[] {
  return Array.from({ length: prng.int(8) }, () =>
    prng.pick([0, 1, 1_000, 40_000, LENT_BYTES - 1, LENT_BYTES, 2 * LENT_BYTES, 600_000]),
  );
}

interface World {
  readonly opener: StreamLink;
  readonly taker: StreamLink;
  readonly carriers: readonly Carrier[];
  readonly sources: readonly Source[];
  readonly reads: readonly Promise<void>[];
}

/** Reads it, and compares each byte with the one that was sent, until the end or until `stop` of them. */
async function readAll(
  messages: Received,
  stream: number,
  sizes: readonly number[],
  atOnce: boolean,
  stop = Number.POSITIVE_INFINITY,
): Promise<void> {
  let [n, at, read] = [0, 0, 0];
  const take = (data: Uint8Array) => {
    for (let from = 0; from < data.length;) {
      while (at === sizes[n]) [n, at] = [n + 1, 0];
      const part = data.subarray(from, from + (sizes[n] ?? 0) - at);
      const sent = messageOf(stream, n, at, part.length);
      if (part.length === 0 || !sent.equals(part)) throw new Error(`another byte in message ${n}`);
      from += part.length;
      at += part.length;
    }
    read += data.length;
    if (read >= stop) throw STOPPED;
  };
  try {
    if (atOnce) await messages.each(take);
    else for await (const data of messages) take(data);
  } catch (error) {
    if (error === STOPPED) return;
    throw error;
  }
  const whole = sizes.reduce((sum, size) => sum + size, 0);
  if (read !== whole) throw new Error(`${read} bytes of ${whole}`);
}

/** Some streams, each with a source on both sides. `stops`: readers may leave early. */
function world(prng: Prng, streams: number, stops: boolean): World {
  const carriers = [new Carrier(prng), new Carrier(prng)];
  const sources: Source[] = [];
  const reads: Promise<void>[] = [];
  const sizes = Array.from({ length: 2 * streams }, () => sizesOf(prng));
  const source = (at: number) => {
    const made = new Source(prng, at, sizes[at] as number[], carriers);
    sources.push(made);
    return made;
  };
  const read = (messages: Received, at: number) => {
    const stop = stops && prng.chance(0.3) ? prng.int(400_000) : undefined;
    const reading = readAll(messages, at, sizes[at] as number[], prng.chance(0.5), stop);
    reading.catch(() => {}); // looked at below
    reads.push(reading);
  };
  let taken = 0;
  const routes = KINDS.map((kind) =>
    serveStream(kind, (_, input): StreamInput => {
      const at = 2 * taken++;
      read(input, at);
      return source(at + 1);
    }),
  );
  const shared = { clock: new ManualClock(), logger: new RecordingLogger(), peer: "other" };
  const opener = new StreamLink(shared);
  const taker = new StreamLink({
    ...shared,
    routes: new Map(routes.map((route) => [route.kind.name, route])),
  });
  for (let i = 0; i < streams; i++) {
    const opened = opener.open(prng.pick(KINDS), {}, source(2 * i));
    opened.then(
      (replies) => read(replies, 2 * i + 1),
      () => {},
    );
  }
  void carriers[0]?.carry(opener, taker);
  void carriers[1]?.carry(taker, opener);
  return { opener, taker, carriers, sources, reads };
}

test(
  "what is sent from where it is arrives as it was, though sources use their buffers again",
  async () => {
    await asyncRounds(60, async (prng) => {
      const streams = 1 + prng.int(6);
      const { opener, taker, sources, reads } = world(prng, streams, false);
      await until("all streams are over", () => opener.idle && taker.idle);
      expect(sources.length).toBe(2 * streams);
      // The taker's end ends a stream, also where the opener still sends.
      const ends = await Promise.allSettled(reads);
      const wrong = ends.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
      expect(wrong.filter((why) => why.includes("another byte"))).toEqual([]);
      await until("all sources are left", () => sources.every(({ idle }) => idle));
      for (const { left } of sources) expect(left).toBeLessThanOrEqual(1);
      opener.close(OVER);
    });
  },
  boundMs(20_000),
);

test(
  "sources are left once, and not while their bytes are looked at, whatever ends their streams",
  async () => {
    const ways = ["cut", "close", "stop", "leave"] as const;
    await asyncRounds(150, async (prng) => {
      const way = prng.pick(ways);
      const { opener, taker, carriers, sources, reads } = world(
        prng,
        1 + prng.int(6),
        way === "leave",
      );
      for (let turns = prng.int(30); turns > 0; turns--) await turn();
      if (way === "stop") for (const carrier of carriers) carrier.stopped = true;
      if (way === "stop") await turn();
      if (way === "close") prng.pick([opener, taker]).close(OVER);
      if (way === "cut" || way === "stop") {
        for (const carrier of carriers) {
          carrier.stopped = true;
          carrier.held = null; // who cuts looks at nothing any more
        }
        opener.cut(OVER);
        taker.cut(OVER);
      }
      await until(`all streams are over: ${way}`, () => opener.idle && taker.idle);
      await until(`all sources are left: ${way}`, () => sources.every(({ idle }) => idle));
      for (const { left } of sources) expect(left).toBeLessThanOrEqual(1);
      const ends = await Promise.allSettled(reads);
      const wrong = ends.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
      expect(wrong.filter((why) => why.includes("another byte"))).toEqual([]);
      opener.cut(OVER);
      taker.cut(OVER);
    });
  },
  boundMs(20_000),
);

/** The way from one end to the other, of which the other one gives back what it gets. */
function echoed() {
  const shared = { clock: new ManualClock(), logger: new RecordingLogger(), peer: "other" };
  const route = serveStream(KIND, (_, input) => input);
  const opener = new StreamLink(shared);
  const taker = new StreamLink({ ...shared, routes: new Map([[KIND.name, route]]) });
  const carry = async (from: StreamLink, to: StreamLink) => {
    for (let next = await from.next(); next !== null; next = await from.next()) {
      to.receive(copyOf(next));
      await turn();
    }
  };
  void carry(opener, taker);
  void carry(taker, opener);
  return {
    opener,
    [Symbol.dispose]() {
      opener.cut(OVER);
      taker.cut(OVER);
    },
  };
}

test("a source whose message cannot be sent is left", async () => {
  const { maxMessageBytes } = DEFAULT_STREAM_LIMITS;
  for (const given of [new Uint8Array(maxMessageBytes + 1), 7 as never]) {
    let left = false;
    async function* source() {
      try {
        yield given;
      } finally {
        left = true;
      }
    }
    using ends = echoed();
    const replies = await ends.opener.open(KIND, {}, source());
    const error = await failureOf(replies.next());
    expect(HedgerowError.is(error, "too_large", "invalid_argument")).toBe(true);
    await until("it is left", () => left);
  }
});

test("a generator that ends its own stream is left", async () => {
  const controller = new AbortController();
  let left = false;
  function* source() {
    try {
      yield "one";
      controller.abort();
      yield "two";
    } finally {
      left = true;
    }
  }
  using ends = echoed();
  const replies = await ends.opener.open(KIND, {}, source(), { signal: controller.signal });
  expect(await failureOf(Array.fromAsync(replies))).toMatchObject({ code: "canceled" });
  await until("it is left", () => left);
});

test("who lends much shares the connection: small messages of others pass between large ones", async () => {
  using ends = echoed();
  const { opener } = ends;
  const large = new Uint8Array(512 * 1024);
  let produced = 0;
  async function* flood() {
    for (;;) {
      produced++;
      yield large;
    }
  }
  const floods = await Promise.all(Array.from({ length: 3 }, () => opener.open(KIND, {}, flood())));
  const drains = floods.map(async (replies) => {
    for await (const _ of replies);
  });
  const small = await opener.open(KIND, {}, ["a", "b", "c"]);
  const before = produced;
  let heard = 0;
  for await (const _ of small) heard++;
  expect(heard).toBe(3);
  expect(produced - before).toBeLessThan(100);
  ends[Symbol.dispose]();
  await Promise.allSettled(drains);
});
