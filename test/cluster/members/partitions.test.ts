import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Figures } from "../faults/figures.ts";
import { MISSING_FOR_NETWORKS, Network } from "../faults/network.ts";
import { BINARY, Cluster, LONG, Node, until } from "../processes.ts";
import { changesOf, isWhole, knows, lateProbes, listOf, metricsOf } from "./lists.ts";

// M1 to M4 of survive.md on real processes, each in a network namespace of its own, with the default pace.

const NODES = LONG ? 9 : 5;
const ROUNDS = LONG ? 5 : 1;
/** From a crash until all know of it, and from the end of a partition until all know each other. */
const KNOWN_MS = 5_000;
const CONVERGED_MS = 10_000;
/** Who loses several at once takes itself for slow at first (Lifeguard), and gives them up later. */
const HALVES_MS = LONG ? 60_000 : 30_000;
/** Shorter than the least that a suspect has to refute. */
const SILENT_MS = 700;
const STORM_MS = LONG ? 30_000 : 6_000;
const TEST_MS = ROUNDS * 60_000;

const figures = new Figures();
let network: Network;
let cluster: Cluster;

async function boot(): Promise<void> {
  network = await Network.make(NODES);
  cluster = await Cluster.start({ places: network.places });
  await whole();
}

async function end(): Promise<void> {
  figures.print("membership in namespaces");
  await cluster?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
}

/** Waits until all living nodes know exactly each other; gives the milliseconds. */
async function whole(withinMs = CONVERGED_MS): Promise<number> {
  const from = performance.now();
  const said = () =>
    cluster.nodes.map(
      ({ address, stderr }) => `${address}\n${stderr.split("\n").slice(-8).join("\n")}`,
    );
  await until("all know each other", withinMs, () => isWhole(cluster.living)).catch(
    (error: Error) => {
      throw new Error([error.message, ...said()].join("\n"));
    },
  );
  return performance.now() - from;
}

/** Waits until none of `nodes` lists the address; gives the milliseconds. */
async function forgotten(nodes: readonly Node[], address: string): Promise<number> {
  const from = performance.now();
  await until(`all have given ${address} up`, KNOWN_MS, async () => {
    return !(await Promise.all(nodes.map((node) => knows(node, address)))).includes(true);
  });
  return performance.now() - from;
}

function nodeAt(index: number): Node {
  return cluster.nodes[index % NODES] as Node;
}

function without(node: Node): Node[] {
  return cluster.nodes.filter((each) => each !== node);
}

function membership(): void {
  beforeAll(boot, TEST_MS);
  afterAll(end, 30_000);

  test(
    "M2: lost pings do not evict: no list changes",
    async () => {
      const before = await changesOf(cluster.nodes);
      const lateBefore = await lateProbes(cluster.nodes);
      for (let i = 0; i < 2 * ROUNDS; i++) {
        network.cut(i % NODES, "peers");
        await Bun.sleep(SILENT_MS);
        network.heal(i % NODES);
        await Bun.sleep(SILENT_MS);
      }
      const until = performance.now() + STORM_MS;
      let cuts = 0;
      for (; performance.now() < until; cuts++) {
        const node = Math.floor(Math.random() * NODES);
        network.cut(node, "peers");
        await Bun.sleep(50 + 200 * Math.random());
        network.heal(node);
        await Bun.sleep(100 * Math.random());
      }
      expect(await changesOf(cluster.nodes)).toEqual(before);
      const late = (await lateProbes(cluster.nodes)) - lateBefore;
      expect(late).toBeGreaterThan(0);
      figures.add({ "short cuts": cuts + 2 * ROUNDS, "late probes": late });
    },
    TEST_MS,
  );

  test(
    "M3: after a restart at the same address the new incarnation is on all lists, and no other",
    async () => {
      for (let i = 0; i < ROUNDS; i++) {
        const node = nodeAt(i);
        const [old] = (await listOf(node)).filter(({ address }) => address === node.address);
        node.signal("SIGKILL");
        await node.exited();
        node.start();
        await until("it is there again", KNOWN_MS, async () => (await node.status()) !== null);
        figures.worst("ms until a restart is known", await whole(KNOWN_MS));
        for (const each of cluster.nodes) {
          const listed = (await listOf(each)).filter(({ address }) => address === node.address);
          expect(listed).toHaveLength(1);
          expect(Number(listed[0]?.incarnation)).toBeGreaterThan(Number(old?.incarnation));
        }
      }
    },
    TEST_MS,
  );

  for (const [how, crash] of [
    ["kill -9", (node: Node) => node.signal("SIGKILL")],
    ["its network is gone", (node: Node) => network.cut(cluster.nodes.indexOf(node), "peers")],
  ] as const) {
    test(
      `a crash (${how}) is known to all within ${KNOWN_MS / 1e3} s`,
      async () => {
        for (let i = 0; i < ROUNDS; i++) {
          const node = nodeAt(i + 1);
          crash(node);
          figures.worst(
            `ms at worst until ${how} is known`,
            await forgotten(without(node), node.address),
          );
          network.heal(cluster.nodes.indexOf(node));
          if (!node.running) node.start();
          await until("it is there again", KNOWN_MS, async () => (await node.status()) !== null);
          await whole();
        }
      },
      TEST_MS,
    );
  }

  for (const [what, flags] of [
    ["another authority", []],
    ["another label", ["--label", "another cluster"]],
  ] as const) {
    test(
      `M4: a node with ${what} at an address of the cluster's joins it by no means`,
      async () => {
        const node = nodeAt(2);
        const others = without(node);
        node.signal("SIGKILL");
        await forgotten(others, node.address);
        const before = await changesOf(others);
        const folder = await mkdtemp(join(tmpdir(), "hedgerow-foreign-"));
        // The same authority is in the same file: there it needs a lock of its own.
        const shares = what === "another label";
        const own = shares ? ["--lock-name", "another"] : [];
        const place = network.places[2] as (typeof network.places)[0];
        const seeds = ["--join", others.map(({ address }) => address).join(",")];
        const stranger = new Node(
          shares ? cluster.folder : folder,
          place,
          ["--lease", "2s", ...own, ...flags, ...seeds],
          BINARY,
          {},
        );
        stranger.start();
        try {
          await until("the stranger leads itself", 10_000, async () => {
            return (await stranger.status())?.isLeader === true;
          });
          // The cluster tries those whom it lost, and the stranger what it was told to join through.
          const refused = async () =>
            shares
              ? (await metricsOf(stranger))("peer_strangers_total")
              : (await Promise.all(others.map(metricsOf))).reduce(
                  (sum, metrics) => sum + metrics("cluster_transport_tx_packets_failed_total"),
                  0,
                );
          expect(stranger.stderr).toContain("not joined");
          const atFirst = await refused();
          await until("the cluster has tried it", 15_000, async () => (await refused()) > atFirst);
          expect(await listOf(stranger)).toEqual([
            { address: node.address, incarnation: expect.any(String), state: "participant" },
          ]);
          expect(await changesOf(others)).toEqual(before);
        } finally {
          stranger.signal("SIGKILL");
          await stranger.exited();
          await rm(folder, { recursive: true });
        }
        node.start();
        await until("it is there again", KNOWN_MS, async () => (await node.status()) !== null);
        await whole();
      },
      TEST_MS,
    );
  }

  test(
    "M1: two halves that were apart are one cluster again, without a restart",
    async () => {
      for (let i = 0; i < ROUNDS; i++) {
        const pids = cluster.nodes.map(({ pid }) => pid);
        const before = await listOf(nodeAt(0));
        const half = Math.floor(NODES / 2);
        const sides = [cluster.nodes.slice(0, half), cluster.nodes.slice(half)] as const;
        network.split(sides[0].map((_, index) => index));
        const from = performance.now();
        await until("each half knows itself alone", HALVES_MS, async () => {
          return (await Promise.all(sides.map(isWhole))).every(Boolean);
        });
        figures.worst("ms at worst until halves know that they are", performance.now() - from);
        for (const node of sides[0]) network.heal(cluster.nodes.indexOf(node));
        figures.worst("ms at worst until they are one", await whole());
        expect(await listOf(nodeAt(0))).toEqual(before);
        expect(cluster.nodes.map(({ pid }) => pid)).toEqual(pids);
      }
      await cluster.settled();
    },
    TEST_MS,
  );
}

if (MISSING_FOR_NETWORKS === null) {
  describe("membership in namespaces", membership);
} else {
  process.stderr.write(`SKIPPED: membership in namespaces: ${MISSING_FOR_NETWORKS}\n`);
  describe.skip("membership in namespaces", membership);
}
