import type { ShardKey } from "../../src/shard/key.ts";
import type { ShardNode } from "../../src/shard/node.ts";
import { maglev, multiprobe, rendezvous, ring, ringHash } from "../../src/shard/algorithms.ts";
import type { Sharder } from "../../src/shard/sharder.ts";
import {
  type PlainNode,
  type PlainSharder,
  plainMaglev,
  plainMultiprobe,
  plainRendezvous,
  plainRing,
  plainRingHash,
} from "../../bench/contenders/bigint-sharders.ts";

export function keyFrom(value: bigint): ShardKey {
  return { high: Number(value >> 32n), low: Number(value & 0xffffffffn) };
}

export function bigintOf({ high, low }: ShardKey): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

export function participant(name: string, weight = 1): ShardNode {
  return { name, state: "participant", weight };
}

export function participants(...names: string[]): ShardNode[] {
  return names.map((name) => participant(name));
}

export function numbered(count: number): ShardNode[] {
  return participants(
    ...Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}:8080`),
  );
}

export function keys(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `tenant-${index % 97}/doc-${index}`);
}

interface Both {
  readonly name: string;
  /** Small, so that trying often is quick. */
  readonly fast: () => Sharder;
  readonly plain: (nodes: readonly PlainNode[]) => PlainSharder;
  /** As it comes, and how far a node's share of 20,000 keys may be from its part of ten. */
  readonly usual: () => Sharder;
  readonly uneven: number;
}

/** The five, each beside its version in bigints. */
export const ALL: readonly Both[] = [
  {
    name: "ring",
    fast: () => ring(64),
    plain: (nodes) => plainRing(nodes, 64),
    usual: ring,
    uneven: 0.15,
  },
  {
    name: "rendezvous",
    fast: rendezvous,
    plain: plainRendezvous,
    usual: rendezvous,
    uneven: 0.1,
  },
  {
    name: "multiprobe",
    fast: multiprobe,
    plain: plainMultiprobe,
    usual: multiprobe,
    uneven: 0.2,
  },
  {
    name: "ringHash",
    fast: () => ringHash({ minRingSize: 256, maxRingSize: 2_048 }),
    plain: (nodes) => plainRingHash(nodes, 256, 2_048),
    usual: ringHash,
    uneven: 0.35,
  },
  {
    name: "maglev",
    fast: () => maglev({ tableSize: 1_009 }),
    plain: (nodes) => plainMaglev(nodes, 1_009),
    usual: maglev,
    uneven: 0.1,
  },
];
