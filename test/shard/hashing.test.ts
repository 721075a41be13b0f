import { expect, test } from "bun:test";
import fc from "fast-check";
import { bigintXxh64 } from "../../bench/contenders/bigint-xxh64.ts";
import { hashText, shardKey } from "../../src/shard/key.ts";
import { compareUtf8 } from "../../src/shard/node.ts";
import { entryCounts } from "../../src/shard/ring-hash.ts";
import { Modulus, multiplyHigh } from "../../src/shard/uint64.ts";
import { digestHigh, digestLow } from "../../src/shard/xxhash64.ts";
import { bigintOf, keyFrom } from "./kit.ts";

const text = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.array(fc.nat(0xffff), { maxLength: 50 }).map((units) => String.fromCharCode(...units)),
);

test("text hashes as the runtime's own XXH64 of its UTF-8, ill-formed text too", () => {
  fc.assert(
    fc.property(text, (key) => {
      expect(bigintOf(shardKey(key))).toBe(Bun.hash.xxHash64(key));
    }),
    { numRuns: 2_000 },
  );
});

test("every length hashes as the runtime's, as text and as bytes, to beyond what is kept in memory", () => {
  const lengths = [...Array(140).keys(), 21_842, 21_843, 65_528, 65_529, 200_000];
  for (const length of lengths) {
    const bytes = new Uint8Array(length).map((_, index) => (index * 31) & 0x7f);
    const ascii = String.fromCharCode(...bytes.subarray(0, 60_000)).padEnd(length, "x");
    expect(bigintOf(shardKey(bytes))).toBe(Bun.hash.xxHash64(bytes));
    expect(bigintOf(shardKey(ascii))).toBe(Bun.hash.xxHash64(ascii));
  }
});

test("the bigint version that ours is measured beside hashes the same", () => {
  for (let length = 0; length < 100; length++) {
    const key = "0123456789abcdefghijklmnopqrstuvwxyzé".repeat(3).slice(0, length);
    expect(bigintXxh64(key)).toBe(Bun.hash.xxHash64(key));
  }
});

test("a seed is taken, as Maglev needs it", () => {
  for (const key of ["", "10.0.0.1:8080", "x".repeat(100), "x".repeat(30_000)]) {
    hashText(key, 1);
    expect(bigintOf({ high: digestHigh(), low: digestLow() })).toBe(Bun.hash.xxHash64(key, 1n));
  }
});

const uint64 = fc.bigInt(0n, 2n ** 64n - 1n);
const uint32 = fc.nat({ max: 2 ** 32 - 1 });

test("the remainder of a 64-bit integer is exact for any 32-bit divisor", () => {
  const divisor = fc.oneof(fc.constantFrom(1, 7, 65_537, 5_000_011, 2 ** 32), uint32);
  fc.assert(
    fc.property(uint64, divisor, (value, by) => {
      const { high, low } = keyFrom(value);
      const modulus = new Modulus(by || 1);
      const expected = Number(value % BigInt(by || 1));
      expect(modulus.remainder(high, low)).toBe(expected);
      expect(modulus.remainder(high | 0, low | 0)).toBe(expected);
    }),
    { numRuns: 2_000 },
  );
});

test("the upper half of a product is exact", () => {
  fc.assert(
    fc.property(uint32, uint32, (a, b) => {
      expect(multiplyHigh(a, b) >>> 0).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
    }),
    { numRuns: 2_000 },
  );
});

test("names are ordered by their UTF-8, as Go and C++ do it", () => {
  const name = fc.string({ unit: "binary", maxLength: 4 });
  fc.assert(
    fc.property(name, name, (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
  expect(compareUtf8("\u{10000}", "\uffff")).toBeGreaterThan(0);
});

test("at some numbers of hosts rounding gives one of them another number of entries, as in Envoy", () => {
  const countsOf = (hosts: number) => {
    const seats = Array.from({ length: hosts }, (_, slot) => ({ slot, key: `${slot}`, weight: 1 }));
    return new Set(entryCounts(seats, { minRingSize: 1_024, maxRingSize: 8_388_608 })).size;
  };
  expect([75, 77, 91].map(countsOf).every((different) => different > 1)).toBe(true);
  expect([3, 10, 64, 100].map(countsOf)).toEqual([1, 1, 1, 1]);
});
