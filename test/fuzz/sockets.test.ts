import { expect, test } from "bun:test";
import { connect as connectTls } from "node:tls";
import { startPeerListener } from "../../src/rpc/listener.ts";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import { HedgerowError } from "../../src/errors.ts";
import { TestCluster } from "../rpc/kit/cluster.ts";
import { addressOf, bytes, echo, runtime } from "../rpc/kit/nodes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { chunksOf, join, mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes } from "./kit/messages.ts";
import { RealNode } from "./kit/real-node.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// Real listeners and clients, and what comes out of a socket: garbage, torn and oversized requests and answers.

/** What a connection's end is waited for; the listener may keep a torn request open for longer. */
const PATIENCE_MS = 40;
/** Of this process: far above what it needs, far below what a leak of every connection would come to. */
const MAX_GROWTH_BYTES = 150 * 1024 * 1024;
const { deliver } = PeerService.method;

/** The beginning of HTTP/2 without TLS, and its first frames. */
const PREFACE = bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
const CLIENT_HELLO = Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...new Uint8Array(32));

function request(prng: Prng): Uint8Array {
  const body = hostileBytes(prng, deliver.input);
  const path = prng.pick([
    "/hedgerow.v1.PeerService/Deliver",
    "/hedgerow.v1.PeerService/Batch",
    "/",
    "/put",
  ]);
  const length = prng.pick([body.length, body.length + 5, 0, 99_999_999_999, -1, "x"]);
  const framing = prng.pick([`content-length: ${length}`, "transfer-encoding: chunked"]);
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/proto\r\n${framing}\r\n\r\n`;
  return join(bytes(head), body);
}

/** What somebody sends who means no good, or does not speak this protocol. */
function hostile(prng: Prng): Uint8Array {
  const whole = prng.pick([
    () => request(prng),
    () => join(request(prng), request(prng)),
    () => join(PREFACE, SETTINGS, randomBytes(prng, 100)),
    () => join(CLIENT_HELLO, randomBytes(prng, 200)),
    () => randomBytes(prng, 2_000),
    () =>
      join(
        bytes(`GET /${"x".repeat(prng.int(40_000))} HTTP/1.1\r\n`),
        bytes("a: b\r\n".repeat(prng.int(4_000))),
      ),
  ])();
  return prng.chance(0.5) ? whole : mutate(prng, whole);
}

/** Sends it in chunks, and leaves when the other side ends it or the patience is over. */
async function send(prng: Prng, port: number): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data() {}, close: () => ended.resolve(), error: () => ended.resolve() },
  });
  for (const chunk of chunksOf(prng, hostile(prng))) socket.write(chunk);
  await Promise.race([ended.promise, Bun.sleep(prng.int(PATIENCE_MS))]);
  socket.terminate();
}

/** Many at once, one round after the other; then memory is what it was, more or less. */
async function attack(rounds: number, one: (prng: Prng) => Promise<void>): Promise<void> {
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  await asyncRounds(rounds, async (prng) => {
    await Promise.all(Array.from({ length: 20 }, () => one(prng.fork())));
  });
  Bun.gc(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
}

const cluster = new TestCluster();

for (const tls of [null, cluster.member("server")]) {
  const kind = tls === null ? "plain text" : "TLS";
  test(
    `the peer listener (${kind}) serves on, whatever comes in at its socket`,
    async () => {
      const shared = { runtime, logger: silentLogger, routes: [echo] };
      const listener = startPeerListener({ ...shared, host: "127.0.0.1", port: 0, tls });
      const own = tls && cluster.member("client");
      const clients = connectPeers({ clock: runtime.clock, tls: () => own });
      await attack(15, (prng) => send(prng, listener.port));
      const { data } = await clients.unary(addressOf(listener), deliver, { data: bytes("after") });
      expect(data).toEqual(bytes("after"));
      await clients.close();
      await listener.stop();
    },
    boundMs(30_000),
  );
}

test(
  "nor does garbage within TLS keep the peer listener from serving on",
  async () => {
    const material = cluster.member("server");
    const shared = { runtime, logger: silentLogger, routes: [echo] };
    const listener = startPeerListener({ ...shared, host: "127.0.0.1", port: 0, tls: material });
    const { key, cert, ca } = cluster.member("client");
    await attack(8, (prng) => {
      const ended = Promise.withResolvers<void>();
      const protocols = prng.pick([["h2"], ["http/1.1"], ["h2", "http/1.1"]]);
      const options = { port: listener.port, host: "127.0.0.1", key, cert, ca: [...ca] };
      const socket = connectTls(
        { ...options, servername: "hedgerow", ALPNProtocols: protocols },
        () => {
          for (const chunk of chunksOf(prng, hostile(prng))) socket.write(chunk);
          setTimeout(() => socket.destroy(), prng.int(PATIENCE_MS));
        },
      );
      socket.on("error", () => ended.resolve()).on("close", () => ended.resolve());
      socket.resume();
      return ended.promise;
    });
    const own = cluster.member("client");
    const clients = connectPeers({ clock: runtime.clock, tls: () => own });
    await clients.unary(addressOf(listener), deliver, { data: bytes("after") });
    await clients.close();
    await listener.stop();
  },
  boundMs(30_000),
);

test(
  "a client of peers ends each call, typed, whatever answers",
  async () => {
    const codes = new Set<string>();
    await asyncRounds(40, async (prng) => {
      const server = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        socket: {
          data(socket) {
            socket.write(answer(prng));
            if (prng.chance(0.7)) socket.end();
          },
        },
      });
      const clients = connectPeers({ clock: runtime.clock, tls: () => null });
      for (let left = 5; left > 0; left--) {
        const call = clients.unary(`127.0.0.1:${server.port}`, deliver, {}, { timeoutMs: 60 });
        const code = await call.then(
          () => "answered",
          (error: unknown) => expectTypedOfPeer(error),
        );
        codes.add(code);
      }
      await clients.close();
      server.stop(true);
    });
    expect(codes.size).toBeGreaterThan(3);
  },
  boundMs(30_000),
);

function answer(prng: Prng): Uint8Array {
  const body = hostileBytes(prng, deliver.output);
  const status = prng.pick(["200 OK", "400 Bad Request", "503 Away", "302 Found", "99 x"]);
  const length = prng.pick([body.length, body.length + 9, 99_999_999_999]);
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/proto\r\ncontent-length: ${length}\r\n\r\n`;
  const whole = join(bytes(head), body);
  return prng.chance(0.5) ? whole : mutate(prng, whole);
}

/** That another node says of itself that it has a defect is its own word. */
function expectTypedOfPeer(error: unknown): string {
  if (HedgerowError.is(error, "internal")) return error.code;
  return expectTyped(error, () => "a call");
}

test(
  "the http listener of a node serves on, whatever comes in at its socket",
  async () => {
    await using real = await RealNode.start();
    const port = Number(real.http.address.split(":").at(-1));
    await attack(15, (prng) => send(prng, port));
    const response = await fetch(`http://${real.http.address}/put`, {
      method: "POST",
      body: "key value",
    });
    expect(await response.text()).toContain("key=key, value=value");
    expect(real.logger.lines.filter((line) => line.startsWith("handler failed"))).toEqual([]);
  },
  boundMs(30_000),
);
