import { expect, test } from "bun:test";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../../src/errors.ts";
import { CarryRequestSchema, CarryResponseSchema } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import { envelope } from "../../../src/rpc/envelopes.ts";
import { PeerEndpoint } from "../../../src/rpc/endpoint.ts";
import { ProcessNetwork } from "../../../src/rpc/memory-network.ts";
import { connectPeers } from "../../../src/rpc/peers.ts";
import type { Replies, StreamInput, StreamRoute } from "../../../src/rpc/port.ts";
import { answerOf } from "../../../src/rpc/streams/answer.ts";
import { DEFAULT_STREAM_LIMITS } from "../../../src/rpc/streams/limits.ts";
import { StreamLink } from "../../../src/rpc/streams/link.ts";
import { openLoopback } from "../../../src/rpc/streams/loopback.ts";
import { STREAM_TYPE } from "../../../src/rpc/streams/server.ts";
import { ManualClock } from "../kit/clock.ts";
import { TestCluster } from "../kit/cluster.ts";
import { addressOf, atEnd, listen, peers, runtime } from "../kit/nodes.ts";
import { silenceableProxy } from "../kit/proxy.ts";
import { KIND, streamRoute } from "../kit/streams.ts";
import { until } from "../kit/wait.ts";

// Large messages are sent from where they are: whatever carries them must be done with one before the next is asked for.

const cluster = new TestCluster();
const { clock } = runtime;
const SIZES = [4_000_000, 131_072, 10, 131_071, 700_000, 3_000_001, 2_000_000, 1_500_000];
const GARBAGE = 0xee;

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

type Open = (input?: StreamInput) => Promise<Replies>;

/** The ways to a node that serves the route, and whether it is left when a test ends. */
const WAYS: Readonly<Record<string, (route: StreamRoute) => Open>> = {
  "plain text": (route) => overSockets(route, false),
  "mutual TLS": (route) => overSockets(route, true),
  "a network in memory": (route) => {
    const network = new ProcessNetwork();
    const options = { clock, logger: silentLogger, routes: [], streamRoutes: [route] };
    atEnd(network.listen("a:1", new PeerEndpoint(options)));
    const clients = connectPeers({ clock, tls: () => null, network });
    atEnd(() => clients.close());
    return (input = []) => clients.stream("a:1", KIND, {}, input);
  },
  "a loopback": (route) => {
    const options = { clock, logger: silentLogger, self: "a:1", routes: [route] };
    return (input = []) => openLoopback(options, KIND, {}, input);
  },
};

function overSockets(route: StreamRoute, secure: boolean): Open {
  const listener = listen({ tls: secure ? cluster.member("s") : null, streamRoutes: [route] });
  const material = secure ? cluster.member("c") : null;
  const clients = peers({ tls: () => material });
  return (input = []) => clients.stream(addressOf(listener), KIND, {}, input);
}

/** All messages out of one buffer, which holds garbage as soon as the next one is asked for. */
function reusing(sizes: readonly number[] = SIZES) {
  const buffer = new Uint8Array(Math.max(...sizes));
  const state = { left: false };
  async function* source() {
    try {
      for (const [i, size] of sizes.entries()) {
        buffer.fill(i + 1, 0, size);
        yield buffer.subarray(0, size);
        buffer.fill(GARBAGE);
      }
    } finally {
      buffer.fill(GARBAGE);
      state.left = true;
    }
  }
  return { state, source };
}

/** How many of the messages are as they were sent, read slowly. */
async function readSlowly(messages: Replies): Promise<number> {
  let i = 0;
  for await (const message of messages) {
    await Bun.sleep(5);
    expect([i, message.length]).toEqual([i, SIZES[i] as number]);
    const wrong = message.findIndex((byte) => byte !== i + 1);
    expect([i, wrong]).toEqual([i, -1]);
    i++;
  }
  return i;
}

test.each(Object.entries(WAYS))(
  "both sides may use their buffers again, over %s",
  async (_, to) => {
    const [asked, answered] = [reusing(), reusing()];
    let read = 0;
    const route = streamRoute(async function* (input) {
      const reading = readSlowly(input);
      yield* answered.source();
      read = await reading;
    });
    const replies = await to(route)(asked.source());
    expect(await readSlowly(replies)).toBe(SIZES.length);
    expect(read).toBe(SIZES.length);
    expect([asked.state.left, answered.state.left]).toEqual([true, true]);
  },
);

test("both are left when their connection falls silent while they are sent", async () => {
  const [asked, answered] = [reusing(), reusing()];
  const listener = listen({ streamRoutes: [streamRoute(() => answered.source())] });
  const proxy = await silenceableProxy(listener.port);
  const replies = await peers().stream(proxy.address, KIND, {}, asked.source());
  await replies.next();
  proxy.silence();
  await until("they are left", () => asked.state.left && answered.state.left);
});

test("an answer looks at nothing any more once its connection is cut, in the middle of a message", async () => {
  const { state, source } = reusing();
  const link = new StreamLink({
    clock: new ManualClock(),
    logger: silentLogger,
    peer: "a reader",
    routes: new Map([[KIND.name, streamRoute(() => source())]]),
  });
  const opening = { frames: [{ stream: 1, open: { kind: KIND.name, opening: new Uint8Array() } }] };
  link.receive(envelope(toBinary(CarryRequestSchema, create(CarryRequestSchema, opening))));
  const answer = answerOf(link, () => {}).getReader();
  const pieces: Uint8Array[] = [];
  const read = async () => {
    const { value, done } = await answer.read();
    if (value !== undefined) pieces.push(value.slice());
    return !done;
  };
  await until("a part of the first message has come", async () => {
    await read();
    return Buffer.concat(pieces).length > 500_000;
  });
  link.cut(new HedgerowError("outcome_unknown", "it is gone"));
  await until("it is left", () => state.left);
  while (await read());
  const all = Buffer.concat(pieces);
  expect(all.length).toBeLessThan(SIZES[0] as number);
  expect(all.indexOf(Buffer.alloc(1_000, GARBAGE))).toBe(-1);
});

test("a request looks at nothing any more once its connection is cut, in the middle of a message", async () => {
  const maxMessageBytes = 64 * 1024 * 1024; // more than the system takes of it
  const { state, source } = reusing([maxMessageBytes]);
  const taken = { frames: [{ stream: 1, taken: true }] };
  const agreed = envelope(toBinary(CarryResponseSchema, create(CarryResponseSchema, taken)));
  const malformed = new Uint8Array([0x7f, 0, 0, 0, 0]);
  const chunk = (bytes: Uint8Array) => `${bytes.length.toString(16)}\r\n${latin1(bytes)}\r\n`;
  const all: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {}).on("data", (bytes: Buffer) => all.push(bytes));
    const head = `content-type: ${STREAM_TYPE}\r\ntransfer-encoding: chunked`;
    socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${chunk(agreed)}`, "latin1");
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  atEnd(() => server.close());
  const { port } = server.address() as AddressInfo;
  const streamLimits = { ...DEFAULT_STREAM_LIMITS, maxMessageBytes };
  await peers({ streamLimits }).stream(`127.0.0.1:${port}`, KIND, {}, source());
  const [socket] = sockets as [Socket];
  await until("a part of the message has come", () => all.length > 1);
  socket.pause();
  socket.write(chunk(malformed), "latin1");
  await until("it is left", () => state.left);
  const ended = new Promise((resolve) => socket.on("close", resolve));
  socket.resume();
  await ended;
  const came = Buffer.concat(all);
  expect(came.length).toBeLessThan(maxMessageBytes);
  expect(came.indexOf(Buffer.alloc(1_000, GARBAGE))).toBe(-1);
});

test.each(Object.entries(WAYS))("both are left by who reads no further, over %s", async (_, to) => {
  const [asked, answered] = [reusing(), reusing()];
  const open = to(streamRoute(() => answered.source()));
  const replies = await open(asked.source());
  await replies.next();
  await replies.return?.();
  await until("they are left", () => asked.state.left && answered.state.left);
});
