import type { Prng } from "../../simulation/world/prng.ts";
import { join, mutate, randomBytes } from "./bytes.ts";
import { text } from "./texts.ts";

// HTTP/2 as it stands on the wire (RFC 9113), so that each byte of it can be wrong.

export const FRAME = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  window: 8,
  more: 9,
};
export const END_STREAM = 1;
const ACK = 1;
export const END_HEADERS = 4;
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array,
): Uint8Array {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, 9);
  return bytes;
}

/** Of HPACK the literal form alone (RFC 7541, 6.2.2): without tables, without Huffman's code. */
export function headerBlock(headers: Headers): Uint8Array {
  const literal = (given: string) => {
    const bytes = Buffer.from(given, "latin1");
    const prefix: number[] = [];
    if (bytes.length < 127) prefix.push(bytes.length);
    else {
      prefix.push(127);
      let left = bytes.length - 127;
      for (; left > 127; left >>>= 7) prefix.push((left & 127) | 128);
      prefix.push(left);
    }
    return join(Uint8Array.from(prefix), bytes);
  };
  return join(
    ...headers.flatMap(([name, value]) => [Uint8Array.of(0), literal(name), literal(value)]),
  );
}

/** A gRPC message: whether it is compressed, its length, its bytes. Either may be false. */
function grpcFrame(prng: Prng, message: Uint8Array): Uint8Array {
  const head = Buffer.alloc(5);
  head[0] = prng.pick([0, 0, 0, 0, 1, 2, 255]);
  const { length } = message;
  head.writeUInt32BE(prng.pick([length, length, length, length + 9, 0, 2 ** 32 - 1]), 1);
  return join(head, message);
}

type Headers = readonly (readonly [string, string])[];

export function goodHeaders(path: string): Headers {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":authority", "localhost"],
    [":path", path],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ];
}

/** Headers of a call: as a client sends them, or some that contradict it. */
function callHeaders(prng: Prng, path: string): Headers {
  const timeout = prng.pick(["10m", "1S", "0n", "99999999H"]);
  const good: Headers = [...goodHeaders(path), ["grpc-timeout", timeout]];
  if (prng.chance(0.6)) return good;
  const wrong: Readonly<Record<string, readonly string[]>> = {
    ":method": ["GET", "CONNECT", ""],
    ":scheme": ["https", "x", ""],
    ":authority": ["", "a b", "[", "evil.example"],
    ":path": ["/", "", "*", `${path}?x`, path.slice(1), text(prng)],
    "content-type": ["application/grpc+json", "application/json", "text/html", ""],
    te: ["", "gzip"],
    "grpc-timeout": ["-1S", "x", "", "123456789S"],
  };
  const others: Headers = [
    ["grpc-encoding", prng.pick(["identity", "gzip", "snappy", ""])],
    ["authorization", text(prng)],
    ["trace-bin", text(prng)],
    ["connection", "close"],
    ["Upper", "case"],
    [":path", "/twice"],
    ["", "no name"],
    ["x", "y".repeat(prng.pick([10, 10_000, 70_000]))],
  ];
  const changed = good
    .filter(() => prng.chance(0.97))
    .map(
      ([name, value]) => [name, prng.chance(0.1) ? prng.pick(wrong[name] ?? [""]) : value] as const,
    );
  return [...changed, ...others.filter(() => prng.chance(0.08))];
}

/** Calls on one connection, whole or broken off, among frames of other kinds, with some bytes changed. */
export function connection(prng: Prng, path: string, message: () => Uint8Array): Uint8Array {
  const frames: Uint8Array[] = [PREFACE, frame(FRAME.settings, 0, 0, new Uint8Array())];
  for (let call = 0; call < 1 + prng.int(4); call++) {
    const stream = prng.chance(0.95) ? 2 * call + 1 : prng.pick([0, 2, 1, 2 ** 31 - 1]);
    frames.push(...opening(prng, stream, headerBlock(callHeaders(prng, path))));
    for (let left = prng.int(3); left > 0; left--) {
      const flags = left === 1 && prng.chance(0.7) ? END_STREAM : 0;
      frames.push(frame(FRAME.data, flags, stream, grpcFrame(prng, message())));
    }
    if (prng.chance(0.4)) frames.push(other(prng, stream));
  }
  const whole = join(...frames);
  return prng.chance(0.6) ? whole : mutate(prng, whole);
}

/** In one frame or in several: of some, the end never comes. */
function opening(prng: Prng, stream: number, block: Uint8Array): Uint8Array[] {
  const most = 16_384;
  const first = prng.chance(0.8) ? most : 1 + prng.int(20);
  const frames = [
    frame(FRAME.headers, block.length <= first ? END_HEADERS : 0, stream, block.subarray(0, first)),
  ];
  for (let at = first; at < block.length; at += most) {
    const ends = at + most >= block.length && prng.chance(0.9);
    frames.push(frame(FRAME.more, ends ? END_HEADERS : 0, stream, block.subarray(at, at + most)));
  }
  return frames;
}

export function word(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function other(prng: Prng, stream: number): Uint8Array {
  return prng.pick([
    () => frame(FRAME.reset, 0, stream, word(prng.int(14))),
    () => frame(FRAME.window, 0, prng.pick([0, stream]), word(prng.pick([0, 1, 2 ** 31 - 1]))),
    () => frame(FRAME.ping, prng.pick([0, ACK]), 0, new Uint8Array(prng.pick([8, 8, 7]))),
    () => frame(FRAME.settings, 0, 0, join(Uint8Array.of(0, prng.int(9)), word(prng.int(2 ** 31)))),
    () => frame(FRAME.goaway, 0, 0, new Uint8Array(8)),
    () => frame(prng.int(256), prng.int(256), stream, randomBytes(prng, 50)),
  ])();
}
