import { ShardError } from "./errors.ts";
import { MAX_NODES, type Seat } from "./node.ts";
import type { Picked } from "./picked.ts";
import { isBelow, SIGN } from "./uint64.ts";

/** In one sharder: at 20 to 28 bytes each. */
const MAX_TOKENS = 2 ** 24;

/** Words of a token: its halves, each `^ SIGN`, and the slot of its node. */
export const STRIDE = 3;

/**
 * Tokens on the circle of 64-bit integers, sorted; of equal ones the node comes first that `ranks` puts first.
 * The upper bits of a key are looked up in an index, and from there few tokens are left to compare: as hashes
 * they lie evenly.
 */
export class Tokens {
  static readonly none = new Tokens(new Int32Array(0));

  /** Behind the last token's place. A place is where a token's words begin, so they are `STRIDE` apart. */
  readonly end: number;
  /** At the end one more, which no key is above, with the slot of the first token: so the circle closes. */
  readonly #words: Int32Array;
  readonly #shift: number;
  /** By the upper bits of a key: place of the first token that is not below all such keys. */
  readonly #starts: Int32Array;

  private constructor(words: Int32Array) {
    this.end = words.length;
    this.#words = new Int32Array(words.length + STRIDE);
    this.#words.set(words);
    this.#words.set([~SIGN, ~SIGN, words[2] ?? -1], words.length);
    this.#shift = shiftFor(words.length / STRIDE);
    this.#starts = startsOf(words, this.#shift);
  }

  /** Without those of the seats that are `gone`, and with `added` ones, in any order. Throws `too_large`. */
  changed(gone: readonly Seat[], added: TokenList, ranks: Int32Array): Tokens {
    const words = this.#words.subarray(0, this.end);
    const kept = gone.length === 0 ? words : without(words, gone);
    checkCount((kept.length + added.words.length) / STRIDE);
    const fresh = sorted(added.words, ranks);
    return new Tokens(merged(kept, fresh, ranks));
  }

  /** Place of the first token that is not below the key; `end` if all are. */
  successor(high: number, low: number): number {
    const words = this.#words;
    const orderedHigh = high ^ SIGN;
    const orderedLow = low ^ SIGN;
    let place = this.#starts[high >>> this.#shift] as number;
    while ((words[place] as number) < orderedHigh) place += STRIDE;
    while (words[place] === orderedHigh && (words[place + 1] as number) < orderedLow)
      place += STRIDE;
    return place;
  }

  highAt(place: number): number {
    return (this.#words[place] as number) ^ SIGN;
  }

  lowAt(place: number): number {
    return (this.#words[place + 1] as number) ^ SIGN;
  }

  slotAt(place: number): number {
    return this.#words[place + 2] as number;
  }

  /** Slot of the owner of a key on a ring: that of the first token from the key on. -1 without tokens. */
  ownerFrom(high: number, low: number): number {
    return this.slotAt(this.successor(high, low));
  }

  /** Walks on from a token, round the circle at most once. */
  walk(from: number, picked: Picked): void {
    for (let place = from; place < this.end && !picked.isFull; place += STRIDE) {
      picked.add(this.slotAt(place));
    }
    for (let place = 0; place < from && !picked.isFull; place += STRIDE) {
      picked.add(this.slotAt(place));
    }
  }
}

/** Tokens in the order in which they were made. */
export class TokenList {
  readonly words: Int32Array;
  #used = 0;

  constructor(count: number) {
    checkCount(count);
    this.words = new Int32Array(count * STRIDE);
  }

  add(high: number, low: number, slot: number): void {
    this.words[this.#used++] = high ^ SIGN;
    this.words[this.#used++] = low ^ SIGN;
    this.words[this.#used++] = slot;
  }

  addAll(halves: Int32Array, slot: number): void {
    for (let at = 0; at < halves.length; at += 2) {
      this.add(halves[at] as number, halves[at + 1] as number, slot);
    }
  }
}

/** The circle has two to four parts a token: a key's part is what its upper half begins with. */
function shiftFor(tokens: number): number {
  return Math.max(Math.min(Math.clz32(tokens), 31) - 1, 1);
}

function partOf(orderedHigh: number, shift: number): number {
  return (orderedHigh ^ SIGN) >>> shift;
}

function startsOf(words: Int32Array, shift: number): Int32Array {
  const starts = new Int32Array((0xffffffff >>> shift) + 2);
  for (let at = 0; at < words.length; at += STRIDE) {
    const next = partOf(words[at] as number, shift) + 1;
    starts[next] = (starts[next] as number) + STRIDE;
  }
  for (let part = 1; part < starts.length; part++) {
    starts[part] = (starts[part] as number) + (starts[part - 1] as number);
  }
  return starts;
}

/** Scattered by part of the circle, then by insertion: those of one part are few. */
function sorted(words: Int32Array, ranks: Int32Array): Int32Array {
  const shift = shiftFor(words.length / STRIDE);
  const places = startsOf(words, shift);
  const result = new Int32Array(words.length);
  for (let at = 0; at < words.length; at += STRIDE) {
    const part = partOf(words[at] as number, shift);
    const place = places[part] as number;
    places[part] = place + STRIDE;
    copyToken(words, at, result, place);
  }
  for (let at = STRIDE; at < result.length; at += STRIDE) insert(result, at, ranks);
  return result;
}

/** Moves the token at `at` down to where it belongs among those before it. */
function insert(words: Int32Array, at: number, ranks: Int32Array): void {
  if (!isBefore(words, at, words, at - STRIDE, ranks)) return;
  const token = words.slice(at, at + STRIDE);
  let place = at;
  do {
    copyToken(words, place - STRIDE, words, place);
    place -= STRIDE;
  } while (place > 0 && isBefore(token, 0, words, place - STRIDE, ranks));
  words.set(token, place);
}

function checkCount(tokens: number): void {
  if (tokens <= MAX_TOKENS) return;
  throw new ShardError("too_large", `${tokens} tokens: at most ${MAX_TOKENS}`);
}

function without(words: Int32Array, gone: readonly Seat[]): Int32Array {
  const isGone = new Uint8Array(MAX_NODES);
  for (const { slot } of gone) isGone[slot] = 1;
  const result = new Int32Array(words.length);
  let used = 0;
  for (let at = 0; at < words.length; at += STRIDE) {
    if (isGone[words[at + 2] as number] === 1) continue;
    copyToken(words, at, result, used);
    used += STRIDE;
  }
  return result.slice(0, used);
}

function merged(left: Int32Array, right: Int32Array, ranks: Int32Array): Int32Array {
  if (right.length === 0) return left;
  if (left.length === 0) return right;
  const result = new Int32Array(left.length + right.length);
  let fromLeft = 0;
  let fromRight = 0;
  for (let at = 0; at < result.length; at += STRIDE) {
    const takesRight =
      fromLeft === left.length ||
      (fromRight < right.length && isBefore(right, fromRight, left, fromLeft, ranks));
    if (takesRight) {
      copyToken(right, fromRight, result, at);
      fromRight += STRIDE;
    } else {
      copyToken(left, fromLeft, result, at);
      fromLeft += STRIDE;
    }
  }
  return result;
}

function copyToken(from: Int32Array, at: number, to: Int32Array, place: number): void {
  to[place] = from[at] as number;
  to[place + 1] = from[at + 1] as number;
  to[place + 2] = from[at + 2] as number;
}

function isBefore(
  a: Int32Array,
  atA: number,
  b: Int32Array,
  atB: number,
  ranks: Int32Array,
): boolean {
  const highA = a[atA] as number;
  const lowA = a[atA + 1] as number;
  const highB = b[atB] as number;
  const lowB = b[atB + 1] as number;
  if (highA !== highB || lowA !== lowB) return isBelow(highA, lowA, highB, lowB);
  return (ranks[a[atA + 2] as number] as number) < (ranks[b[atB + 2] as number] as number);
}
