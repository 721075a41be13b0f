import { describe, expect, test } from "bun:test";
import { Cluster, LONG, type Node } from "../processes.ts";
import { describeOnStores, SQLITE, type StoreKind } from "../stores.ts";
import { Figures } from "./figures.ts";
import { MISSING_FOR_NETWORKS, Network } from "./network.ts";
import { Relay } from "./relay.ts";
import { Trial } from "./trial.ts";

const LEASE_MS = 2_000;
const CLUSTERS = LONG ? 2 : 1;
/** Of each cluster. */
const PARTITIONS = LONG ? 5 : 1;
/** By turns longer than a permit of which nothing is heard stays its holder's (7 s), and shorter. */
const CUT_MS = [4.5 * LEASE_MS, 1.5 * LEASE_MS] as const;
/** Some permits would outlast the partitions, if they were not lost. */
const LONG_USE_MS = 10_000;
const GIVEN_ON_MS = 20_000;

/**
 * Cuts a node off from its peers, and by turns from the store, too; its clients stay where they are. Who leads goes on
 * writing; without the store it is another one.
 */
async function partition(
  trial: Trial,
  network: Network,
  leader: Node,
  turn: number,
  store: boolean,
) {
  const { nodes } = trial.cluster;
  const victim = trial.victim(leader);
  const index = nodes.indexOf(victim);
  const over = performance.now() + (CUT_MS[turn % 2] as number);
  network.cut(index, "peers");
  if (store) network.cut(index, "store");
  const leads = victim === leader && !store;
  const tookMs = await trial.writable(leads ? [victim] : nodes.filter((node) => node !== victim));
  await Bun.sleep(Math.max(0, over - performance.now()));
  network.heal(index);
  return { tookMs, leaderMoved: victim === leader && store };
}

/** One cluster lives through all of them; what was wrong. */
async function surviving(kind: StoreKind, figures: Figures): Promise<string[]> {
  await using store = await kind.make();
  await using network = await Network.make(3);
  const target = store.env.SPANNER_EMULATOR_HOST;
  await using relay =
    target === undefined ? null : await Relay.listen(network.storeAddress, target);
  const env = relay === null ? {} : { SPANNER_EMULATOR_HOST: relay.host };
  const { places } = network;
  await using cluster = await Cluster.start({ store: { flags: store.flags, env }, places });
  let leader = await cluster.settled();
  const trial = new Trial(kind, cluster, LONG_USE_MS);
  for (let i = 0; i < PARTITIONS; i++) {
    const withStore = relay !== null && i % 4 < 2;
    const { tookMs, leaderMoved } = await partition(trial, network, leader, i, withStore);
    figures.worst("ms at worst until writes went on beside a partition", tookMs);
    leader = await trial.settled();
    figures.add({
      partitions: 1,
      "from the store, too": withStore ? 1 : 0,
      "with another leader": leaderMoved ? 1 : 0,
    });
  }
  if (LONG) await trial.holders.given(trial.holders.semaphores, GIVEN_ON_MS);
  const violations = await trial.finish();
  figures.add(trial.figures);
  return violations;
}

function partitions(kind: StoreKind): void {
  test(
    `${CLUSTERS * PARTITIONS} silent partitions: nothing is lost, twice, out of order or held by too many`,
    async () => {
      const figures = new Figures();
      for (let i = 0; i < CLUSTERS; i++) expect(await surviving(kind, figures)).toEqual([]);
      figures.print(`partitions on ${kind.name}`);
    },
    CLUSTERS * PARTITIONS * 60_000,
  );
}

if (MISSING_FOR_NETWORKS === null) {
  describeOnStores("partitions", partitions);
} else {
  process.stderr.write(`SKIPPED: partitions: ${MISSING_FOR_NETWORKS}\n`);
  describe.skip("partitions", () => partitions(SQLITE));
}
