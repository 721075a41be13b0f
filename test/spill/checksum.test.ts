import { expect, test } from "bun:test";
import {
  CHECKSUM_BLOCK_BYTES as BLOCK,
  checksumOf,
  RunningChecksum,
  RunningChecksums,
} from "../../src/spill/checksum.ts";

function random(bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) crypto.getRandomValues(made.subarray(at, at + 65_536));
  return made;
}

test("P8: a bit turned around in any 4 KiB of many blocks is another checksum, in both halves of it", () => {
  const bytes = random(3 * BLOCK + 5_000);
  const sum = checksumOf(bytes);
  const [low, high] = [new Set<bigint>(), new Set<bigint>()];
  let flips = 0;
  for (let at = 0; at < bytes.length; at += 4_096) {
    bytes[at] = (bytes[at] as number) ^ (1 << (at % 7));
    const changed = checksumOf(bytes);
    bytes[at] = (bytes[at] as number) ^ (1 << (at % 7));
    low.add(changed & 0xffff_ffffn);
    high.add(changed >> 32n);
    flips++;
  }
  low.delete(sum & 0xffff_ffffn);
  high.delete(sum >> 32n);
  expect([low.size, high.size]).toEqual([flips, flips]);
  expect(checksumOf(bytes)).toBe(sum);
});

test("P8: blocks that changed places, or are missing, are another checksum", () => {
  const [one, two] = [random(BLOCK), random(BLOCK)];
  const sums = [[one, two], [two, one], [one], [two], [one, one], [two, two], []].map((blocks) =>
    checksumOf(Buffer.concat(blocks)),
  );
  expect(new Set(sums).size).toBe(sums.length);
});

test("what is taken in as it comes has the checksum of the whole, also where it comes anew", () => {
  const pieces = [10, 0, 2 * BLOCK + 3, 8].map(random);
  const bytes = Buffer.concat(pieces);
  const lengths = pieces.map(({ length }) => length);
  const sums = new RunningChecksums(bytes, lengths);
  for (let end = 0; end < BLOCK; end += 10_007) sums.advance(end);
  for (let end = 0; end < bytes.length; end += 99_991) sums.advance(end);
  expect(sums.all()).toEqual(pieces.map(checksumOf));
  const running = new RunningChecksum(bytes);
  expect(running.of(BLOCK + 1)).toBe(checksumOf(bytes.subarray(0, BLOCK + 1)));
  expect(running.of(bytes.length)).toBe(checksumOf(bytes));
});
