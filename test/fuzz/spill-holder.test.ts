import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { KeepSegment } from "../../src/gen/hedgerow/v1/spill_pb.ts";
import { decode, encode } from "../../src/rpc/codec.ts";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers } from "../../src/spill/buffers.ts";
import { Holder } from "../../src/spill/remote/holder.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { received } from "../rpc/kit/streams.ts";
import { until } from "../rpc/kit/wait.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { FakeFiles } from "../spill/kit.ts";
import { randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes, type Plausible } from "./kit/messages.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// A node that keeps segments for others, who lie about them.

const MEMORY = 200_000;
const DISK = 400_000;
const OWNERS: Plausible = {
  address: ["10.0.0.1:1", "10.0.0.2:1", ""],
  incarnation: [1n, 2n],
  store: [0n, 1n],
  segment: [0, 1, 2, 2 ** 32 - 1],
  bytes: [0n, 1n, 100n, 70_000n, 2n ** 40n, 2n ** 53n],
  expiry_ms: [1, 1_000, 86_400_000, 86_400_001, 0],
};

class HolderWorld {
  readonly clock = new ManualClock();
  readonly memory = new Budget(MEMORY);
  readonly disk = new Budget(DISK);
  readonly files = new FakeFiles();
  readonly buffers = new Buffers(this.clock, this.memory);
  readonly holder = new Holder({
    clock: this.clock,
    logger: new RecordingLogger(),
    memory: this.memory,
    disk: this.disk,
    buffers: this.buffers,
    files: this.files,
    cluster: null,
  });
  /** Of the streams that the other nodes have open. */
  readonly #open = new Set<AbortController>();

  /** What is held is never more than may be, nor less than nothing. */
  check(): void {
    for (const { used, limit } of [this.memory, this.disk]) {
      expect(used).toBeGreaterThanOrEqual(0);
      expect(used).toBeLessThanOrEqual(limit);
    }
  }

  async call(prng: Prng): Promise<string> {
    const { method, handle } = prng.pick(this.holder.routes);
    return told(async () => {
      const request = decode(method.input, hostileBytes(prng, method.input, OWNERS));
      encode(method.output, (await handle(request, { timeoutMs: 100 })) as Record<string, unknown>);
    });
  }

  /** One stream, whose input is something else than was announced. */
  async stream(prng: Prng): Promise<string> {
    const { kind, handle } = prng.pick(this.holder.streamRoutes);
    const ended = new AbortController();
    this.#open.add(ended);
    const outcome = await told(async () => {
      const opening = decode(kind.opening, hostileBytes(prng, kind.opening, OWNERS));
      const input = received(inputOf(prng, opening as Partial<KeepSegment>, ended.signal));
      const served = { signal: ended.signal, fail: (error: HedgerowError) => ended.abort(error) };
      for await (const _ of await handle(opening, input, served)) this.check();
    });
    ended.abort(new HedgerowError("canceled", "over"));
    this.#open.delete(ended);
    return outcome;
  }

  /** The connections of those whose streams hang. */
  cutAll(): void {
    for (const ended of this.#open) ended.abort(new HedgerowError("canceled", "cut"));
  }
}

async function told(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "answered";
  } catch (error) {
    return expectTyped(error, () => "a message");
  }
}

async function* inputOf(
  prng: Prng,
  { bytes = 0n }: Partial<KeepSegment>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, undefined, undefined> {
  const announced = Number(bytes > 100_000n ? 1_000n : bytes);
  const given = prng.pick([announced, announced, announced + 1, Math.max(0, announced - 1)]);
  for (let left = given; left > 0;) {
    const size = Math.min(left, 1 + prng.int(given));
    yield prng.chance(0.1) ? new Uint8Array() : new Uint8Array(size);
    left -= size;
  }
  if (prng.chance(0.2)) yield randomBytes(prng, 10);
  if (prng.chance(0.1)) throw new HedgerowError("outcome_unknown", "the connection broke");
  if (prng.chance(0.1)) {
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    throw signal.reason;
  }
  return undefined;
}

test(
  "whatever other nodes say, it holds no more than it may, and nothing in the end",
  async () => {
    const outcomes = new Set<string>();
    await asyncRounds(60, async (prng) => {
      const world = new HolderWorld();
      const under: Promise<void>[] = [];
      for (let left = 60; left > 0; left--) {
        if (prng.chance(0.05)) {
          const failure = Object.assign(new Error("ENOSPC: full"), { code: "ENOSPC" });
          world.files.failure = prng.chance(0.5) ? failure : null;
        }
        const one = prng.chance(0.6) ? world.stream(prng) : world.call(prng);
        under.push(one.then((outcome) => void outcomes.add(outcome)));
        if (prng.chance(0.3)) await Bun.sleep(0);
        if (prng.chance(0.1)) world.clock.pass(prng.pick([1, 1_000, 90_000_000]));
        world.check();
      }
      world.cutAll();
      await Promise.all(under);
      world.check();
      world.holder.stop();
      world.buffers.clear();
      expect([world.memory.used, world.disk.used, world.holder.stores]).toEqual([0, 0, 0]);
      expect(world.files.files.every(({ closed }) => closed)).toBe(true);
      expect(world.clock.timers.size).toBe(0);
    });
    expect([...outcomes]).toEqual(
      expect.arrayContaining([
        "answered",
        "invalid_argument",
        "no_space",
        "not_found",
        "outcome_unknown",
        "too_large",
      ]),
    );
  },
  boundMs(20_000),
);

/** Opens a stream that is to keep a segment. */
function keep(world: HolderWorld, opening: object, input: AsyncGenerator<Uint8Array, undefined>) {
  const [route] = world.holder.streamRoutes;
  if (route === undefined) throw new Error("no route");
  const ended = new AbortController();
  const fail = (error: HedgerowError) => ended.abort(error);
  const kept = told(async () => {
    const owner = { address: "10.0.0.1:1", incarnation: 1n, store: 1n };
    const message = { owner, segment: 0, bytes: 1n, inMemory: true, expiryMs: 1_000, ...opening };
    const replies = await route.handle(message as never, received(input), {
      signal: ended.signal,
      fail,
    });
    for await (const _ of replies);
  });
  return { kept, signal: ended.signal };
}

async function* of(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array, undefined> {
  yield* chunks;
  return undefined;
}

test("segments of a byte each, or of none, are no way around the limits", async () => {
  const world = new HolderWorld();
  const outcomes = new Set<string>();
  for (let segment = 0; segment < 2_000; segment++) {
    const inMemory = segment % 2 === 0;
    outcomes.add(await keep(world, { segment, inMemory }, of(new Uint8Array(1))).kept);
    outcomes.add(await keep(world, { segment, inMemory, bytes: 0n }, of()).kept);
  }
  expect([...outcomes].sort()).toEqual(["answered", "invalid_argument", "no_space"]);
  expect(world.files.files.length).toBeLessThan(100);
  expect(world.memory.used).toBe(MEMORY - (MEMORY % 4_096));
  world.holder.stop();
  expect([world.memory.used, world.disk.used]).toEqual([0, 0]);
});

test("a store is not named by a megabyte", async () => {
  const owner = { address: "x".repeat(1_000_000), incarnation: 1n, store: 1n };
  expect(await keep(new HolderWorld(), { owner }, of(new Uint8Array(1))).kept).toBe(
    "invalid_argument",
  );
});

test("who announces a segment and never sends it has its room for a while only", async () => {
  const world = new HolderWorld();
  const { signal } = keep(world, { bytes: 100_000n }, silent());
  await until("its room is taken", () => world.memory.used > 0);
  world.clock.pass(600_000);
  expect(HedgerowError.is(signal.reason, "timeout")).toBe(true);
});

async function* silent(): AsyncGenerator<Uint8Array, undefined> {
  await new Promise(() => {});
  yield new Uint8Array();
  return undefined;
}

test("empty messages without end are not kept", async () => {
  const world = new HolderWorld();
  const given = 300_000;
  const empty = async function* (): AsyncGenerator<Uint8Array, undefined> {
    for (let i = 0; i < given; i++) yield new Uint8Array();
    yield new Uint8Array(100);
    return undefined;
  };
  expect(await keep(world, { bytes: 100n, inMemory: false }, empty()).kept).toBe("answered");
  // What waits for its write is what is kept of them: counted, for the process has garbage of its own.
  expect(world.files.files[0]?.mostPieces).toBeWithin(1, given / 10);
});
