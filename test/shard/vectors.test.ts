import { expect, test } from "bun:test";
import { xorshiftMultiply } from "../../bench/contenders/bigint-sharders.ts";
import { maglev, multiprobe, rendezvous, ring, ringHash } from "../../src/shard/algorithms.ts";
import { shardKey } from "../../src/shard/key.ts";
import { Maglev } from "../../src/shard/maglev.ts";
import type { Placement } from "../../src/shard/placement.ts";
import { pointsOf } from "../../src/shard/points.ts";
import { RingHash } from "../../src/shard/ring-hash.ts";
import { bigintOf, keyFrom, participant, participants } from "./kit.ts";

const nodesABC = participants("node-a", "node-b", "node-c");
const ports = [90, 91, 92, 93, 94, 95];
const hosts = ports.map((port) => `127.0.0.1:${port}`);

const namesOf = (nodes: readonly { readonly name: string }[]) => nodes.map(({ name }) => name);

/** The placement over these keys, whose slots are their indices; sorted by key, as they are given. */
function placed<P extends Placement>(empty: P, names: readonly string[], weights: number[] = []) {
  return empty.over(names.map((key, slot) => ({ slot, key, weight: weights[slot] ?? 1 })));
}

/** Slots of a table of this size: whoever owns the keys 0, 1, 2 and so on. */
function tableOf(size: number, names: readonly string[], weights?: number[]): number[] {
  const placement = placed(Maglev.empty(size), names, weights);
  return Array.from({ length: size }, (_, key) => placement.owner(0, key));
}

test("example-key hashes as it does in Go", () => {
  expect(bigintOf(shardKey("example-key"))).toBe(6236200483676591104n);
});

test("ckit's own example: on a ring of 256 tokens node-b owns example-key", () => {
  const sharder = ring(256);
  sharder.update([
    ...["viewer-a", "viewer-b", "viewer-c"].map((name) => ({ name, state: "viewer" as const })),
    ...participants("node-a", "node-b"),
    { name: "node-c", state: "terminating" },
  ]);
  expect(sharder.owner("example-key").name).toBe("node-b");
});

test("tokens 0, 1 and 255 of node-a are those of ckit", () => {
  const halves = pointsOf("node-a", 1, 256);
  const tokens = [0, 1, 255].map((index) =>
    bigintOf({ high: halves[2 * index] as number, low: halves[2 * index + 1] as number }),
  );
  expect(tokens).toEqual([4463094017149013872n, 15528781576575175910n, 5272981526377384466n]);
});

test("ring, rendezvous and multiprobe put three nodes into ckit's order for example-key", () => {
  const orders = [ring(256), rendezvous(), multiprobe()].map((sharder) => {
    sharder.update(nodesABC);
    return namesOf(sharder.lookup("example-key", 3)).map((name) => name.at(-1));
  });
  expect(orders).toEqual([
    ["c", "b", "a"],
    ["c", "a", "b"],
    ["b", "a", "c"],
  ]);
});

test("the score of 1 by the plain version that rendezvous is held to", () => {
  expect(xorshiftMultiply(1n)).toBe(5180492295206395165n);
});

test("Envoy's ring of six hosts and at least 12 entries has its twelve entries", () => {
  const ringOfSix = placed(RingHash.empty({ minRingSize: 12, maxRingSize: 8_388_608 }), hosts);
  const entries: [number, bigint][] = [
    [94, 833437586790550860n],
    [92, 928266305478181108n],
    [90, 1033482794131418490n],
    [95, 3551244743356806947n],
    [93, 3851675632748031481n],
    [91, 5583722120771150861n],
    [91, 6311230543546372928n],
    [93, 7700377290971790572n],
    [95, 13144177310400110813n],
    [92, 13444792449719432967n],
    [94, 15516499411664133160n],
    [90, 16117243373044804889n],
  ];
  const ownerOf = (value: bigint) => {
    const { high, low } = keyFrom(value);
    return ports[ringOfSix.owner(high, low)];
  };
  entries.forEach(([port, hash], index) => {
    const next = entries[(index + 1) % entries.length] as [number, bigint];
    expect([ownerOf(hash), ownerOf(hash + 1n)]).toEqual([port, next[0]]);
  });
  expect([ownerOf(0n), ownerOf(2n ** 64n - 1n)]).toEqual([94, 94]);
});

test("Envoy's Maglev tables, with and without hash keys and weights", () => {
  expect(tableOf(7, hosts)).toEqual([2, 4, 0, 1, 5, 0, 3]);
  expect(tableOf(7, ports.map(String))).toEqual([2, 5, 0, 3, 4, 1, 0]);
  const weighted = tableOf(17, hosts.slice(0, 2), [1, 2]);
  expect(weighted.join("")).toBe("10010110111110101");
});

test("Envoy's defaults name these owners of two shard keys", () => {
  const nodes = participants("10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080");
  expect(bigintOf(shardKey("codepair$xqvlad"))).toBe(4152414100403942786n);
  const owners = [ringHash(), maglev()].map((sharder) => {
    sharder.update(nodes);
    return ["codepair$xqvlad", "tenant-1/doc-1"].map((key) => sharder.owner(key).name);
  });
  expect(owners).toEqual([
    ["10.0.0.3:8080", "10.0.0.2:8080"],
    ["10.0.0.2:8080", "10.0.0.1:8080"],
  ]);
});

test("Envoy's algorithms hash the hash key, ckit's the name", () => {
  const renamed = ports.map((port) => ({
    ...participant(`pod-${port}`),
    hashKey: `127.0.0.1:${port}`,
  }));
  const sharder = maglev({ tableSize: 7 });
  sharder.update(renamed);
  expect(sharder.owner(keyFrom(0n)).name).toBe("pod-92");
  const [named, plain] = [ring(256), ring(256)];
  named.update(nodesABC.map((node) => ({ ...node, hashKey: `other-${node.name}` })));
  plain.update(nodesABC);
  expect(namesOf(named.lookup("example-key", 3))).toEqual(namesOf(plain.lookup("example-key", 3)));
});
