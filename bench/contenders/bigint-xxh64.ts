// XXH64 written straight down with bigints: what hashing costs where nothing is native.

const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;

const wrap = (value: bigint) => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint) => wrap((value << bits) | (value >> (64n - bits)));
const round = (lane: bigint, input: bigint) =>
  wrap(rotate(wrap(lane + input * PRIME_2), 31n) * PRIME_1);
const merge = (hash: bigint, lane: bigint) => wrap((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4);

const encoder = new TextEncoder();

/** With seed 0. */
export function bigintXxh64(text: string): bigint {
  const bytes = encoder.encode(text);
  const view = new DataView(bytes.buffer);
  let at = 0;
  let hash = PRIME_5;
  if (bytes.length >= 32) {
    let [a, b, c, d] = [wrap(PRIME_1 + PRIME_2), PRIME_2, 0n, wrap(-PRIME_1)];
    for (; at + 32 <= bytes.length; at += 32) {
      a = round(a, view.getBigUint64(at, true));
      b = round(b, view.getBigUint64(at + 8, true));
      c = round(c, view.getBigUint64(at + 16, true));
      d = round(d, view.getBigUint64(at + 24, true));
    }
    hash = wrap(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  }
  hash = wrap(hash + BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8) {
    const input = round(0n, view.getBigUint64(at, true));
    hash = wrap(rotate(hash ^ input, 27n) * PRIME_1 + PRIME_4);
  }
  if (at + 4 <= bytes.length) {
    const input = wrap(BigInt(view.getUint32(at, true)) * PRIME_1);
    hash = wrap(rotate(hash ^ input, 23n) * PRIME_2 + PRIME_3);
    at += 4;
  }
  for (; at < bytes.length; at++) {
    hash = wrap(rotate(hash ^ wrap(BigInt(view.getUint8(at)) * PRIME_5), 11n) * PRIME_1);
  }
  hash = wrap((hash ^ (hash >> 33n)) * PRIME_2);
  hash = wrap((hash ^ (hash >> 29n)) * PRIME_3);
  return hash ^ (hash >> 32n);
}
