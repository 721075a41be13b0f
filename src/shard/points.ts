import { ShardError } from "./errors.ts";
import { digestHigh, digestLow, hashInput, input } from "./xxhash64.ts";

/** A node's name and one byte for each of its points are hashed together, and have to find room. */
export const MAX_POINTS_PER_NODE = 32_768;

/**
 * Points of a node, as halves in turn, upper half first. Point 0 is XXH64 of its name; each further one is
 * that of the same bytes with one more behind them: 0, 1, 2 and so on, modulo 256.
 */
export function pointsOf(name: string, from: number, count: number): Int32Array {
  if (from + count > MAX_POINTS_PER_NODE) {
    const problem = `${count} tokens of ${name}: at most ${MAX_POINTS_PER_NODE - from}`;
    throw new ShardError("too_large", problem);
  }
  const halves = new Int32Array(2 * count);
  const bytes = input.write(name);
  for (let added = 0; added < from + count; added++) {
    if (added >= from) {
      hashInput(bytes + added);
      halves[2 * (added - from)] = digestHigh();
      halves[2 * (added - from) + 1] = digestLow();
    }
    input[bytes + added] = added;
  }
  return halves;
}
