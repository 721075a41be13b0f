import { expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  CarryRequestSchema,
  StreamFrameSchema,
  StreamOpeningSchema,
} from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { envelope } from "../../../src/rpc/envelopes.ts";
import { CARRY_PATH, STREAM_TYPE } from "../../../src/rpc/streams/server.ts";
import { addressOf, bytes, listen, peers } from "../../rpc/kit/nodes.ts";
import { KIND, streamRoute, texts, textsOf } from "../../rpc/kit/streams.ts";
import { until } from "../../rpc/kit/wait.ts";
import type { Prng } from "../../simulation/world/prng.ts";
import { chunksOf, join, mutate } from "../kit/bytes.ts";
import { hostileBytes, type Plausible } from "../kit/messages.ts";
import { boundMs } from "../kit/rounds.ts";
import { attack, PATIENCE_MS } from "../kit/sockets.ts";

// A real listener and a real client of streams, whose other side lies: those of others are not touched.

const OPENING = toBinary(StreamOpeningSchema, create(StreamOpeningSchema));
/** The tag of a frame in an envelope. */
const FRAMES = (1 << 3) | 2;
const PLAUSIBLE: Plausible = { stream: [1, 2, 3], kind: [KIND.name], credit: [0, 1_000_000] };

function chunk(data: Uint8Array): Uint8Array {
  return join(bytes(`${data.length.toString(16)}\r\n`), data, bytes("\r\n"));
}

/** Envelopes of frames, in chunks, the first of which opens streams. */
function hostileBody(prng: Prng): Uint8Array {
  const frames = Array.from({ length: 1 + prng.int(20) }, (_, i) => ({
    stream: i + 1,
    open: { kind: KIND.name, opening: OPENING },
    messages: [new Uint8Array(prng.pick([0, 10, 10, 10, 10, 10, 10, 70_000]))],
  }));
  const first = envelope(toBinary(CarryRequestSchema, create(CarryRequestSchema, { frames })));
  const others = Array.from({ length: prng.int(3) }, () => {
    const frame = hostileBytes(prng, StreamFrameSchema, PLAUSIBLE);
    const length = [frame.length & 0x7f, frame.length >> 7, frame.length >> 14];
    const bytes = Uint8Array.of(FRAMES, ...length.map((part, i) => (i < 2 ? part | 0x80 : part)));
    return envelope(join(bytes, frame));
  });
  const end = prng.chance(0.3) ? bytes("0\r\n\r\n") : new Uint8Array();
  const whole = join(...[first, ...others].map(chunk), end);
  return prng.chance(0.6) ? whole : mutate(prng, whole);
}

/** Sends it to the port in pieces, and goes away without a word, sometimes without reading any. */
async function send(prng: Prng, port: number, message: Uint8Array): Promise<void> {
  const ended = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: { data() {}, close: () => ended.resolve(), error: () => ended.resolve() },
  });
  if (prng.chance(0.3)) socket.pause();
  for (const piece of chunksOf(prng, message)) socket.write(piece);
  await Promise.race([ended.promise, Bun.sleep(prng.int(PATIENCE_MS))]);
  socket.terminate();
}

test(
  "a listener's streams of others go on beside those of liars, of which nothing is left",
  async () => {
    let underWay = 0;
    let served = 0;
    const route = streamRoute((input, { signal }) => {
      underWay++;
      served++;
      signal.addEventListener("abort", () => underWay--, { once: true });
      return input;
    });
    const listener = listen({ streamRoutes: [route] });
    const clients = peers();
    const asked = Promise.withResolvers<void>();
    const beside = await clients.stream(
      addressOf(listener),
      KIND,
      {},
      (async function* () {
        yield "before";
        await asked.promise;
        yield "after";
      })(),
    );
    const head = bytes(
      `POST ${CARRY_PATH} HTTP/1.1\r\nhost: x\r\ncontent-type: ${STREAM_TYPE}\r\nconnect-protocol-version: 1\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    await attack(6, (prng) => send(prng, listener.port, join(head, hostileBody(prng))));
    expect(served).toBeGreaterThan(100);
    await until("the streams of those that went away have ended", () => underWay === 1);
    asked.resolve();
    expect(await textsOf(beside)).toEqual(["before", "after"]);
    const anew = await clients.stream(addressOf(listener), KIND, {}, texts("a", "b"));
    expect(await textsOf(anew)).toEqual(["a", "b"]);
  },
  boundMs(30_000),
);
