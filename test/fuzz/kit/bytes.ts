import type { Prng } from "../../simulation/world/prng.ts";

/** Bytes that mean much to protobuf, to HTTP, to JSON and to TLS. */
const TELLING = [
  0x00, 0x01, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x12, 0x16, 0x20, 0x22, 0x7b, 0x7f, 0x80, 0xff,
];

/** Varints at the ends of what they may hold, and past them. */
const EXTREME_VARINTS = [
  [0x00],
  [0x7f],
  [0x80, 0x00],
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0x80, 0x80, 0x80, 0x80, 0x08],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

export function randomBytes(prng: Prng, maxLength: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(prng.int(maxLength + 1));
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = prng.chance(0.4) ? prng.pick(TELLING) : prng.int(256);
  }
  return bytes;
}

type Mutator = (bytes: Uint8Array, prng: Prng, other: Uint8Array) => Uint8Array;

const MUTATORS: readonly Mutator[] = [
  function flip(bytes, prng) {
    const flipped = Uint8Array.from(bytes);
    const at = prng.int(bytes.length || 1);
    flipped[at] = (flipped[at] ?? 0) ^ (1 << prng.int(8));
    return flipped;
  },
  function overwrite(bytes, prng) {
    const changed = Uint8Array.from(bytes);
    changed[prng.int(bytes.length || 1)] = prng.pick(TELLING);
    return changed;
  },
  function truncate(bytes, prng) {
    return bytes.subarray(0, prng.int(bytes.length + 1));
  },
  function remove(bytes, prng) {
    const [from, to] = range(bytes, prng);
    return join(bytes.subarray(0, from), bytes.subarray(to));
  },
  function duplicate(bytes, prng) {
    const [from, to] = range(bytes, prng);
    return join(bytes.subarray(0, to), bytes.subarray(from));
  },
  function splice(bytes, prng, other) {
    return join(bytes.subarray(0, range(bytes, prng)[0]), other.subarray(range(other, prng)[0]));
  },
  function insert(bytes, prng) {
    const at = prng.int(bytes.length + 1);
    return join(bytes.subarray(0, at), randomBytes(prng, 8), bytes.subarray(at));
  },
  function extremeVarint(bytes, prng) {
    const at = prng.int(bytes.length + 1);
    const varint = Uint8Array.from(prng.pick(EXTREME_VARINTS));
    return join(bytes.subarray(0, at), varint, bytes.subarray(at + prng.int(3)));
  },
  /** A field of its own number and kind, most of which no message has. */
  function unknownField(bytes, prng) {
    const tag = Uint8Array.of(((1 + prng.int(15)) << 3) | prng.int(8));
    return join(bytes, tag, Uint8Array.from(prng.pick(EXTREME_VARINTS)), randomBytes(prng, 4));
  },
  /** Groups within groups, or fields within fields, and never an end. */
  function nest(bytes, prng) {
    const opening = (1 + prng.int(6)) << 3;
    if (prng.chance(0.5))
      return join(bytes, new Uint8Array(50 + prng.int(2_000)).fill(opening | 3));
    let inner = Uint8Array.from(bytes);
    for (let depth = 20 + prng.int(200); depth > 0 && inner.length < 0x3fff; depth--) {
      const length = inner.length;
      const size = length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7];
      inner = join(Uint8Array.of(opening | 2, ...size), inner);
    }
    return inner;
  },
];

/** One to four changes; `other` gives the second half of a splice. */
export function mutate(prng: Prng, bytes: Uint8Array, other = bytes): Uint8Array<ArrayBuffer> {
  let mutated = bytes;
  for (let left = 1 + prng.int(4); left > 0; left--) {
    mutated = prng.pick(MUTATORS)(mutated, prng, other);
  }
  return Uint8Array.from(mutated);
}

/** Cuts bytes into chunks of any size, empty ones among them. */
export function chunksOf(prng: Prng, bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = prng.chance(0.3) ? prng.int(3) : prng.int(bytes.length + 1);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

export function join(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.concat(parts));
}

function range(bytes: Uint8Array, prng: Prng): [number, number] {
  const from = prng.int(bytes.length + 1);
  return [from, from + prng.int(bytes.length - from + 1)];
}
