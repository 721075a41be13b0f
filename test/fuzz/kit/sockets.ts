import { expect } from "bun:test";
import { PeerService } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { bytes } from "../../rpc/kit/nodes.ts";
import type { Prng } from "../../simulation/world/prng.ts";
import { chunksOf, join, mutate, randomBytes } from "./bytes.ts";
import { hostileBytes } from "./messages.ts";
import { asyncRounds } from "./rounds.ts";

/** What a connection's end is waited for; the listener may keep a torn request open for longer. */
export const PATIENCE_MS = 40;
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
export function hostile(prng: Prng): Uint8Array {
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
export async function sendHostile(prng: Prng, port: number): Promise<void> {
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
export async function attack(rounds: number, one: (prng: Prng) => Promise<void>): Promise<void> {
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  await asyncRounds(rounds, async (prng) => {
    await Promise.all(Array.from({ length: 20 }, () => one(prng.fork())));
  });
  Bun.gc(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(MAX_GROWTH_BYTES);
}
