import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { connect, type Socket } from "node:net";
import { ServerReflection } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { HedgerowService } from "../../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createClientApi } from "../../../src/http/client-api.ts";
import { FIRST_WORDS_MS } from "../../../src/http/grpc/connections.ts";
import { GrpcListener } from "../../../src/http/grpc/listener.ts";
import { createGrpcService } from "../../../src/http/grpc/service.ts";
import { encode } from "../../../src/rpc/codec.ts";
import { ManualClock } from "../../rpc/kit/clock.ts";
import { runtime } from "../../rpc/kit/nodes.ts";
import { until } from "../../rpc/kit/wait.ts";
import { chunksOf, join } from "../kit/bytes.ts";
import {
  connection,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  goodHeaders,
  headerBlock,
  PREFACE,
  word,
} from "../kit/http2.ts";
import { hostileBytes } from "../kit/messages.ts";
import { RealNode } from "../kit/real-node.ts";
import { boundMs } from "../kit/rounds.ts";
import { attack, hostile, PATIENCE_MS } from "../kit/sockets.ts";

// The grpc listener before a real node, frame by frame of HTTP/2: whatever comes in, it serves on and keeps nothing of
// those that have gone. Whole calls: grpc.ts.

const METHODS = [...HedgerowService.methods, ...Health.methods, ...ServerReflection.methods];
const { clock } = runtime;
/** Of floods that each connection may have to their limits, as 4,096 calls. */
const MAX_FLOODED_BYTES = 400 * 1024 * 1024;

let real: RealNode;
let listener: GrpcListener;
beforeAll(async () => {
  real = await RealNode.start();
  const { node, logger } = real;
  listener = await GrpcListener.open({ address: "127.0.0.1:0", clock });
  listener.serve(createGrpcService({ node, api: createClientApi(node, clock), logger, clock }));
});
afterAll(async () => {
  await listener.stop();
  await real[Symbol.asyncDispose]();
});

const port = () => Number(listener.address.split(":").at(-1));

/** Somebody else is served, no defect of ours was told, and this many requests got as far as the service. */
async function expectServing(least: number): Promise<void> {
  const baseUrl = `http://${listener.address}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  const transport = createGrpcTransport({ baseUrl, sessionManager });
  const { timestamp } = await createClient(HedgerowService, transport).put(
    { key: "after", value: "value" },
    { timeoutMs: 30_000 },
  );
  expect(timestamp).toBeDefined();
  sessionManager.abort();
  const lines = real.logger.lines.splice(0);
  expect(lines.filter((line) => line.includes("failed"))).toEqual([]);
  expect(lines.filter((line) => line.startsWith("grpc request")).length).toBeGreaterThanOrEqual(
    least,
  );
}

test(
  "it serves on, whatever bytes come in at its socket",
  async () => {
    await attack(25, async (prng) => {
      const method = prng.pick(METHODS);
      const path = `/${method.parent.typeName}/${method.name}`;
      const message = () => hostileBytes(prng, method.input);
      const bytes = prng.chance(0.8) ? connection(prng, path, message) : hostile(prng);
      const ended = Promise.withResolvers<void>();
      const socket = connect(port(), "127.0.0.1", () => {
        for (const chunk of chunksOf(prng, bytes)) socket.write(chunk);
      });
      socket.on("error", () => ended.resolve()).on("close", () => ended.resolve());
      if (prng.chance(0.8)) socket.resume(); // the others read nothing
      await Promise.race([ended.promise, Bun.sleep(prng.int(PATIENCE_MS))]);
      socket.destroy();
    });
    await expectServing(100);
  },
  boundMs(30_000),
);

const HOLD = headerBlock(goodHeaders(`/${HedgerowService.typeName}/HoldLock`));
const WATCH = headerBlock(goodHeaders(`/${HedgerowService.typeName}/WatchMembers`));
const opening = (stream: number, block = WATCH) => frame(FRAME.headers, END_HEADERS, stream, block);
const streamOf = (call: number) => 2 * call + 1;
const NO_WINDOW = frame(FRAME.settings, 0, 0, join(Uint8Array.of(0, 4), word(0)));

/** What makes servers work for nothing: each gives what is sent next, for as long as it is asked. */
const FLOODS: Readonly<Record<string, (turn: number) => Uint8Array>> = {
  "headers that never end": (turn) =>
    turn === 0 ? frame(FRAME.headers, 0, 1, WATCH) : frame(FRAME.more, 0, 1, new Uint8Array(9_000)),
  pings: () => many(500, () => frame(FRAME.ping, 0, 0, new Uint8Array(8))),
  settings: () => many(500, () => frame(FRAME.settings, 0, 0, new Uint8Array())),
  "calls that are left at once": (turn) =>
    many(100, (i) => {
      const stream = streamOf(turn * 100 + i);
      return join(opening(stream), frame(FRAME.reset, 0, stream, word(8)));
    }),
  "calls whose message never comes": (turn) => many(100, (i) => opening(streamOf(turn * 100 + i))),
  "answers that are never taken": (turn) =>
    join(
      turn === 0 ? NO_WINDOW : new Uint8Array(),
      many(20, (i) => {
        const stream = streamOf(turn * 20 + i);
        return join(opening(stream), frame(FRAME.data, END_STREAM, stream, new Uint8Array(5)));
      }),
    ),
  "a message of two gigabytes": (turn) =>
    turn === 0
      ? join(opening(1), frame(FRAME.data, 0, 1, join(Uint8Array.of(0), word(2 ** 31))))
      : frame(FRAME.data, 0, 1, new Uint8Array(16_000)),
};

function many(count: number, one: (i: number) => Uint8Array): Uint8Array {
  return join(...Array.from({ length: count }, (_, i) => one(i)));
}

/** Sends it for some turns, or until the connection is closed, or takes no more. */
async function floodWith(next: (turn: number) => Uint8Array): Promise<Socket> {
  const socket = connect(port(), "127.0.0.1");
  socket.on("error", () => {}).resume();
  socket.write(join(PREFACE, frame(FRAME.settings, 0, 0, new Uint8Array())));
  for (let turn = 0; turn < 45 && !socket.destroyed; turn++) {
    if (socket.write(next(turn))) continue;
    const more = new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
    await Promise.race([more, Bun.sleep(PATIENCE_MS)]);
  }
  return socket;
}

test(
  "it serves others while somebody floods it, and takes no more memory than it may",
  async () => {
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    for (const [what, next] of Object.entries(FLOODS)) {
      const socket = await floodWith(next);
      await expectServing(0).catch((cause: unknown) => {
        throw new Error(`beside ${what}`, { cause });
      });
      socket.destroy();
    }
    Bun.gc(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(MAX_FLOODED_BYTES);
  },
  boundMs(30_000),
);

test("what calls hold whose connection goes is free again", async () => {
  const message = encode(HedgerowService.method.holdLock.input, { name: "held" });
  const data = join(Uint8Array.of(0), word(message.length), message);
  const holder = await floodWith((turn) => {
    if (turn > 0) return new Uint8Array();
    const first = join(opening(1, HOLD), frame(FRAME.data, END_STREAM, 1, data));
    return join(
      first,
      many(50, (i) => opening(streamOf(i + 1), HOLD)),
    );
  });
  const lock = real.node.lock("held");
  await until("it is held", async () => {
    const got = await lock.tryAcquire().catch(() => null);
    await got?.release();
    return got === null;
  });
  holder.destroy();
  await using held = await lock.acquire({ timeoutMs: 10_000 });
  expect(held).toBeDefined();
}, 90_000);

test("a connection that says nothing, or not all that it has to, is closed", async () => {
  const passing = new ManualClock();
  const silent = await GrpcListener.open({ address: "127.0.0.1:0", clock: passing });
  const words = [PREFACE.subarray(0, 0), PREFACE.subarray(0, 9), PREFACE];
  const sockets = words.map((said) => {
    const socket = connect(Number(silent.address.split(":").at(-1)), "127.0.0.1");
    socket.on("error", () => {}).resume();
    socket.write(said);
    return socket;
  });
  // One timer of each, and the one that looks for quiet ones.
  await until("they are connected", () => passing.timers.size === words.length + 1);
  passing.pass(FIRST_WORDS_MS);
  await until("they are closed", () => sockets.every((socket) => socket.destroyed));
  await silent.stop();
});
