import { type Code, get, i32, i64, moduleOf, set, when, whilst } from "./wasm.ts";

// XXH64 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) in WebAssembly, which has 64-bit
// integers: see DESIGN.md for what else was measured.

const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;

/** Where the digest is put. The input begins behind it. */
const DIGEST = 0;
const INPUT = 8;
/** One page, without the digest. */
export const MAX_INPUT_BYTES = 65_536 - INPUT;

const END = 0; // parameter: where the input ends
const SEED = 1; // parameter
const AT = 2;
const HASH = 3;
const LANES = [4, 5, 6, 7];

const { add, multiply, xor, shiftRight } = i64;
const times = (code: Code, prime: bigint) => multiply(code, i64.constant(prime));
const plus = (code: Code, value: bigint) => add(code, i64.constant(value));
const rotate = (code: Code, bits: number) => i64.rotateLeft(code, i64.constant(BigInt(bits)));
const round = (lane: Code, input: Code) =>
  times(rotate(add(lane, times(input, PRIME_2)), 31), PRIME_1);
const mixed = (input: Code) => round(i64.constant(0n), input);

/** Eight bytes in two loads: the caller writes words of four, which a load across two of them would wait for. */
const load = (at: Code, offset = 0) =>
  i64.or(i64.load32(at, offset), i64.shiftLeft(i64.load32(at, offset + 4), i64.constant(32n)));

const hash = get(HASH);
const seed = i64.ofI32(get(SEED));
const inputBytes = i64.subtract(i64.ofI32(get(END)), i64.constant(BigInt(INPUT)));
const remain = (bytes: number) => i32.isAtMost(i32.add(get(AT), i32.constant(bytes)), get(END));
const advance = (bytes: number) => set(AT, i32.add(get(AT), i32.constant(bytes)));
const setLanes = (value: (lane: Code, index: number) => Code) =>
  LANES.flatMap((lane, index) => set(lane, value(get(lane), index)));

const LANE_SEEDS = [PRIME_1 + PRIME_2, PRIME_2, 0n, -PRIME_1];
const LANE_ROTATIONS = [1, 7, 12, 18];

const stripes = [
  ...setLanes((_, index) => plus(seed, LANE_SEEDS[index] as bigint)),
  ...whilst(
    remain(32),
    setLanes((lane, index) => round(lane, load(get(AT), 8 * index))),
    advance(32),
  ),
  ...set(
    HASH,
    LANES.map((lane, index) => rotate(get(lane), LANE_ROTATIONS[index] as number)).reduce(add),
  ),
  ...LANES.flatMap((lane) => set(HASH, plus(times(xor(hash, mixed(get(lane))), PRIME_1), PRIME_4))),
];

const tail = [
  ...whilst(
    remain(8),
    set(HASH, plus(times(rotate(xor(hash, mixed(load(get(AT)))), 27), PRIME_1), PRIME_4)),
    advance(8),
  ),
  ...when(
    remain(4),
    set(
      HASH,
      plus(times(rotate(xor(hash, times(i64.load32(get(AT)), PRIME_1)), 23), PRIME_2), PRIME_3),
    ),
    advance(4),
  ),
  ...whilst(
    remain(1),
    set(HASH, times(rotate(xor(hash, times(i64.load8(get(AT)), PRIME_5)), 11), PRIME_1)),
    advance(1),
  ),
];

const folded = (bits: bigint) => set(HASH, xor(hash, shiftRight(hash, i64.constant(bits))));
const avalanche = [
  ...folded(33n),
  ...set(HASH, times(hash, PRIME_2)),
  ...folded(29n),
  ...set(HASH, times(hash, PRIME_3)),
  ...folded(32n),
];

const body = [
  ...set(AT, i32.constant(INPUT)),
  ...set(HASH, plus(seed, PRIME_5)),
  ...when(remain(32), stripes),
  ...set(HASH, add(hash, inputBytes)),
  ...tail,
  ...avalanche,
  ...i64.store(i32.constant(DIGEST), hash),
  ...i64.toI32(shiftRight(hash, i64.constant(32n))),
];

/** Gives the upper half of the digest; the lower one is read from memory. */
type Run = (ends: number, seed: number) => number;

/** Compiled when first needed: that takes 1 ms and 2 MB, which a process that hashes nothing should not pay. */
let run: Run = (ends, seed) => {
  const module = new WebAssembly.Module(
    moduleOf({ i32Parameters: 2, i32Locals: 1, i64Locals: 5 }, body),
  );
  run = new WebAssembly.Instance(module, { host: { memory } }).exports.run as Run;
  return run(ends, seed);
};

const memory = new WebAssembly.Memory({ initial: 1 });
/** The bytes to hash, put here by the caller. */
export const input: Buffer = Buffer.from(memory.buffer, INPUT, MAX_INPUT_BYTES);
/** The same as 32-bit words: little-endian, as all of WebAssembly. */
export const inputWords: Int32Array = new Int32Array(memory.buffer, INPUT, MAX_INPUT_BYTES / 4);
const digest = new Int32Array(memory.buffer, DIGEST, 1);
let upper = 0;

/** Hashes the first `bytes` of `input`; the result is `digestHigh` and `digestLow`, until the next call. */
export function hashInput(bytes: number, seed = 0): void {
  upper = run(INPUT + bytes, seed);
}

/** Upper half of the last digest, as a signed 32-bit integer. */
export function digestHigh(): number {
  return upper;
}

/** Lower half of the last digest, as a signed 32-bit integer. */
export function digestLow(): number {
  return digest[0] as number;
}

/** Takes a digest that was made elsewhere. */
export function setDigest(high: number, low: number): void {
  upper = high;
  digest[0] = low;
}
