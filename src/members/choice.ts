import type { Random } from "../runtime/runtime.ts";
import type { SortedNames } from "./sorted-names.ts";

/** Draws are given up after so many per wanted name: in large clusters nearly every draw is good. */
const DRAWS = 8;

/**
 * Whom `self` probes in the slot with this number. All nodes take the same step round the sorted list, so that each
 * member is probed by exactly one other per slot, and each node probes each other once in n - 1 slots. Nodes whose
 * lists or clocks differ still go round all others. Null where there is no other.
 */
export function probeTarget(names: SortedNames, self: string, slot: number): string | null {
  const others = names.size - 1;
  if (others < 1) return null;
  const round = Math.floor(slot / others);
  const stride = strideOf(round, others);
  const step = 1 + (((slot % others) * stride + mixed(round)) % others);
  return names.at((names.indexOf(self) + step) % names.size) ?? null;
}

/** Up to `count` different names in random order that `accepts` takes. */
export function pick(
  names: SortedNames,
  count: number,
  random: Random,
  accepts: (name: string) => boolean,
): string[] {
  if (names.size <= DRAWS * count) {
    return shuffled([...names].filter(accepts), random).slice(0, count);
  }
  const picked = new Set<string>();
  for (let draws = DRAWS * count; draws > 0 && picked.size < count; draws--) {
    const name = names.at(Math.floor(random.next() * names.size)) as string;
    if (accepts(name)) picked.add(name);
  }
  return [...picked];
}

/** A new array in random order (Fisher-Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

/** A number that goes round all others, another one each round so that the order changes. */
function strideOf(round: number, others: number): number {
  let stride = 1 + (mixed(round + 1) % others);
  while (greatestDivisor(stride, others) !== 1) stride = (stride % others) + 1;
  return stride;
}

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

/** Spreads consecutive numbers over 24 bits (murmur3's finalizer): products with it stay exact. */
function mixed(n: number): number {
  let x = n | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 8;
}
