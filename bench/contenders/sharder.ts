// One sharder in a process of its own, which prints what a piece of work took: so that each is compiled for its
// own use alone, as in a program that has one, and so that allocations can be counted with collection off.
import { heapStats } from "bun:jsc";
import { maglev, multiprobe, rendezvous, ring, ringHash } from "../../src/shard/algorithms.ts";
import type { ShardNode } from "../../src/shard/node.ts";
import type { Sharder } from "../../src/shard/sharder.ts";
import { keyOf } from "../keys.ts";
import {
  type PlainNode,
  type PlainSharder,
  plainMaglev,
  plainMultiprobe,
  plainRendezvous,
  plainRing,
  plainRingHash,
} from "./bigint-sharders.ts";
import { bigintXxh64 } from "./bigint-xxh64.ts";

export interface Work {
  /** `hash`, or an algorithm; `in bigints` behind it, and `throughout` if that goes for the hash too. */
  readonly subject: string;
  readonly nodes: number;
  readonly uuidKeys?: boolean;
  /** Of ours: looks this many owners up, not one. */
  readonly owners?: number;
  readonly task: "lookup" | "heap" | "build" | "change";
  readonly seconds: number;
}

/** How many keys are looked up, in turn. */
const KEYS = 1_000;
const HEAP_LOOKUPS = 2_000_000;
const HEAP_BYTES = 64 * 2 ** 20;

interface Subject {
  /** Looks all of them up, and gives the last one's owner. */
  lookUp(keys: readonly string[]): unknown;
  /** From nothing. */
  build(nodes: readonly ShardNode[]): void;
  /** From what was there, which differs by a node. */
  change(nodes: readonly ShardNode[]): void;
}

function ours(make: () => Sharder, owners = 0): Subject {
  let sharder = make();
  const into: ShardNode[] = [];
  const lookUpOne = (keys: readonly string[]) => {
    let owner: unknown;
    for (const key of keys) owner = sharder.owner(key);
    return owner;
  };
  const lookUpSeveral = (keys: readonly string[]) => {
    for (const key of keys) sharder.lookup(key, owners, "readWrite", into);
    return into[0];
  };
  return {
    lookUp: owners === 0 ? lookUpOne : lookUpSeveral,
    build(nodes) {
      sharder = make();
      sharder.update(nodes);
    },
    change: (nodes) => sharder.update(nodes),
  };
}

function inBigints(
  make: (nodes: readonly PlainNode[]) => PlainSharder,
  hash: (key: string) => bigint,
): Subject {
  let sharder: PlainSharder;
  const build = (nodes: readonly ShardNode[]) => {
    sharder = make(nodes.map(({ name }) => ({ name, weight: 1 })));
  };
  const lookUp = (keys: readonly string[]) => {
    let owner: unknown;
    for (const key of keys) owner = sharder.owner(hash(key));
    return owner;
  };
  return { lookUp, build, change: build };
}

const nativeHash: Subject = {
  lookUp(keys) {
    let hash: unknown;
    for (const key of keys) hash = Bun.hash.xxHash64(key);
    return hash;
  },
  build() {},
  change() {},
};

const OURS: Readonly<Record<string, () => Sharder>> = {
  ring,
  rendezvous,
  multiprobe,
  ringHash,
  maglev,
};

const PLAIN: Readonly<Record<string, (nodes: readonly PlainNode[]) => PlainSharder>> = {
  ring: (nodes) => plainRing(nodes, 512),
  rendezvous: plainRendezvous,
  multiprobe: plainMultiprobe,
  ringHash: (nodes) => plainRingHash(nodes, 1_024, 8_388_608),
  maglev: (nodes) => plainMaglev(nodes, 65_537),
};

function subjectOf(name: string, owners?: number): Subject {
  if (name === "hash") return nativeHash;
  const [algorithm, , bigints, throughout] = name.split(" ");
  const make = OURS[algorithm ?? ""];
  const plain = PLAIN[algorithm ?? ""];
  if (make === undefined || plain === undefined) throw new Error(`no such sharder: ${name}`);
  if (bigints === undefined) return ours(make, owners);
  return inBigints(plain, throughout === undefined ? Bun.hash.xxHash64 : bigintXxh64);
}

/** Nanoseconds, or what else `measure` counts per piece: the median of pieces of work until the time is up. */
function medianOf(seconds: number, measure: () => number): number {
  const warmUntil = performance.now() + Math.min(500, seconds * 250);
  while (performance.now() < warmUntil) measure();
  const values: number[] = [];
  const end = performance.now() + seconds * 1_000;
  do values.push(measure());
  while (performance.now() < end);
  return values.sort((a, b) => a - b)[values.length >> 1] as number;
}

function run(work: Work): number {
  const subject = subjectOf(work.subject, work.owners);
  const nodes = Array.from({ length: work.nodes }, (_, index) => {
    const name = `10.0.${index >> 8}.${index & 255}:8080`;
    return { name, state: "participant" as const };
  });
  const keys = Array.from({ length: KEYS }, (_, index) =>
    work.uuidKeys ? crypto.randomUUID() : keyOf(index),
  );
  const timed = (action: () => void) => {
    const started = Bun.nanoseconds();
    action();
    return Bun.nanoseconds() - started;
  };
  if (work.task === "build") return medianOf(work.seconds, () => timed(() => subject.build(nodes)));
  subject.build(nodes);
  if (work.task === "change") {
    const steps = [nodes.slice(0, -1), nodes];
    let step = 0;
    return medianOf(work.seconds, () =>
      timed(() => subject.change(steps[step++ % 2] as typeof nodes)),
    );
  }
  if (work.task === "heap") return bytesPerLookup(subject, keys);
  let last: unknown;
  const lookUpAll = () => {
    last = subject.lookUp(keys);
  };
  const nanoseconds = medianOf(work.seconds, () => timed(lookUpAll) / KEYS);
  if (last === undefined) throw new Error("nothing was found");
  return nanoseconds;
}

/** More and more lookups, of which the last ones count: until then all is compiled. */
function bytesPerLookup(subject: Subject, keys: readonly string[]): number {
  for (let lookups = HEAP_LOOKUPS / 10 ** 5; ; lookups *= 10) {
    const some = keys.slice(0, lookups);
    const before = heapStats().heapCapacity;
    for (let done = 0; done < lookups; done += some.length) subject.lookUp(some);
    const bytes = heapStats().heapCapacity - before;
    if (lookups >= HEAP_LOOKUPS || bytes > HEAP_BYTES) return bytes / lookups;
  }
}

if (import.meta.main) console.log(run(JSON.parse(process.argv[2] ?? "{}") as Work));
