import {
  digestHigh,
  digestLow,
  hashInput,
  input,
  inputWords,
  MAX_INPUT_BYTES,
  setDigest,
} from "./xxhash64.ts";

/** A key that is hashed already: the halves of its XXH64 (seed 0), as 32-bit integers of either sign. */
export interface ShardKey {
  readonly high: number;
  readonly low: number;
}

/** The hashed form of a key, for looking it up often, or of bytes. Text is hashed as UTF-8. */
export function shardKey(key: string | Uint8Array): ShardKey {
  if (typeof key === "string") hashText(key);
  else hashBytes(key);
  return { high: digestHigh(), low: digestLow() };
}

/** UTF-16 units. Longer text is written sooner by the runtime. */
const SHORT = 24;
/** UTF-8 takes at most this many bytes for a UTF-16 unit. */
const MAX_UNIT_BYTES = 3;
const halves = new BigUint64Array(1);
const halfWords = new Int32Array(halves.buffer);

/**
 * XXH64 of the text's UTF-8; the result is in `digestHigh` and `digestLow`. Allocates nothing up to 21 KB. Short
 * ASCII is written here, four characters a store, which takes less than a call into the runtime.
 */
export function hashText(text: string, seed = 0): void {
  const units = text.length;
  if (units > SHORT) {
    hashLong(text, seed);
    return;
  }
  let seen = 0;
  let at = 0;
  for (; at + 4 <= units; at += 4) {
    const a = text.charCodeAt(at);
    const b = text.charCodeAt(at + 1);
    const c = text.charCodeAt(at + 2);
    const d = text.charCodeAt(at + 3);
    seen |= a | b | c | d;
    inputWords[at >> 2] = a | (b << 8) | (c << 16) | (d << 24);
  }
  for (; at < units; at++) {
    const unit = text.charCodeAt(at);
    seen |= unit;
    input[at] = unit;
  }
  if (seen < 0x80) hashInput(units, seed);
  else hashLong(text, seed);
}

function hashLong(text: string, seed: number): void {
  const maxBytes = text.length * MAX_UNIT_BYTES;
  if (maxBytes <= MAX_INPUT_BYTES) hashInput(input.write(text), seed);
  else hashNatively(text, seed);
}

function hashBytes(bytes: Uint8Array): void {
  if (bytes.length > MAX_INPUT_BYTES) {
    hashNatively(bytes, 0);
  } else {
    input.set(bytes);
    hashInput(bytes.length);
  }
}

/** For what is longer than the page: next to its length the bigint costs nothing. */
function hashNatively(key: string | Uint8Array<ArrayBufferLike>, seed: number): void {
  halves[0] = Bun.hash.xxHash64(key as string | Uint8Array<ArrayBuffer>, BigInt(seed));
  setDigest(halfWords[1] as number, halfWords[0] as number);
}
