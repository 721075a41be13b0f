import { checkWhole, ShardError } from "./errors.ts";
import { Maglev } from "./maglev.ts";
import { Multiprobe } from "./multiprobe.ts";
import type { ShardNode } from "./node.ts";
import { MAX_POINTS_PER_NODE } from "./points.ts";
import { Rendezvous } from "./rendezvous.ts";
import { Ring } from "./ring.ts";
import { RingHash } from "./ring-hash.ts";
import { Sharder } from "./sharder.ts";

const byName = (node: ShardNode) => node.name;
const byHashKey = (node: ShardNode) => node.hashKey ?? node.name;

/**
 * ckit's ring: quick lookups, `tokens` (512 by default) for each unit of a node's weight, of which more spread the
 * keys more evenly and take more memory, 20 to 28 bytes each. Throws `invalid_option`.
 */
export function ring<T extends ShardNode = ShardNode>(tokens = 512): Sharder<T> {
  checkWhole("tokens", tokens, 1, MAX_POINTS_PER_NODE - 1);
  return new Sharder<T>(Ring.empty(tokens), byName);
}

/** ckit's rendezvous hashing: the most even, but a lookup takes time in proportion to the nodes' weights. */
export function rendezvous<T extends ShardNode = ShardNode>(): Sharder<T> {
  return new Sharder<T>(Rendezvous.empty, byName);
}

/** ckit's multi-probe hashing: the least memory, even to a twentieth, at 21 searches a lookup. */
export function multiprobe<T extends ShardNode = ShardNode>(): Sharder<T> {
  return new Sharder<T>(Multiprobe.empty, byName);
}

const MAX_RING_SIZE = 8_388_608;

export interface RingHashOptions {
  /** Envoy's `minimum_ring_size`: 1,024 by default. */
  readonly minRingSize?: number | undefined;
  /** Envoy's `maximum_ring_size`: 8,388,608 by default, which is the most. */
  readonly maxRingSize?: number | undefined;
}

/**
 * Envoy's ring hash over the nodes' hash keys, so that a gateway and a node name one owner. With unequal weights,
 * and with some numbers of nodes, the ring depends on the order of the hosts by an entry: here it is that of their
 * hash keys. `maglev` does not depend on it. Throws `invalid_option`.
 */
export function ringHash<T extends ShardNode = ShardNode>(
  options: RingHashOptions = {},
): Sharder<T> {
  const { minRingSize = 1_024, maxRingSize = MAX_RING_SIZE } = options;
  checkWhole("maxRingSize", maxRingSize, 1, MAX_RING_SIZE);
  checkWhole("minRingSize", minRingSize, 1, maxRingSize);
  return new Sharder<T>(RingHash.empty({ minRingSize, maxRingSize }), byHashKey);
}

export interface MaglevOptions {
  /** Envoy's `table_size`: a prime of 2 to 5,000,011, 65,537 by default. More nodes than that are refused. */
  readonly tableSize?: number | undefined;
}

/** Envoy's Maglev over the nodes' hash keys, so that a gateway and a node name one owner. Throws `invalid_option`. */
export function maglev<T extends ShardNode = ShardNode>(options: MaglevOptions = {}): Sharder<T> {
  const { tableSize = 65_537 } = options;
  checkWhole("tableSize", tableSize, 2, 5_000_011);
  if (!isPrime(tableSize)) {
    throw new ShardError("invalid_option", `tableSize ${tableSize}: give a prime`);
  }
  return new Sharder<T>(Maglev.empty(tableSize), byHashKey);
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) {
    if (number % divisor === 0) return false;
  }
  return true;
}
