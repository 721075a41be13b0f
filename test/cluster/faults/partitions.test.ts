import { describe, expect, test } from "bun:test";
import { Cluster, LONG, type Node, until } from "../processes.ts";
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
/** Within this a node that is silent is no member any more. */
const DROPPED_MS = 3 * LEASE_MS;
/** Some permits would outlast the partitions, if they were not lost. */
const LONG_USE_MS = 10_000;
const GIVEN_ON_MS = 20_000;

/** Whether none of the nodes counts `victim` among the members. */
async function dropped(nodes: readonly Node[], victim: Node): Promise<boolean> {
  const seen = await Promise.all(nodes.map((node) => node.status()));
  return seen.every((status) => !status?.members?.some((each) => each.address === victim.address));
}

/**
 * Cuts a node off from its peers, and from the store if `store` says so; its clients stay where they are. Whoever leads
 * goes on writing; without the store that is another one. Gives the milliseconds until then.
 */
async function cutOff(
  { trial, network }: { trial: Trial; network: Network },
  victim: Node,
  leads: boolean,
  store: boolean,
  forMs: number,
): Promise<number> {
  const { nodes } = trial.cluster;
  const others = nodes.filter((node) => node !== victim);
  const from = performance.now();
  network.cut(nodes.indexOf(victim), "peers");
  if (store) network.cut(nodes.indexOf(victim), "store");
  const tookMs = await trial.writable(leads && !store ? [victim] : others);
  if (forMs >= DROPPED_MS) {
    await until("its peers have dropped it", DROPPED_MS, () => dropped(others, victim));
  }
  await Bun.sleep(Math.max(0, forMs - (performance.now() - from)));
  network.heal(nodes.indexOf(victim));
  return tookMs;
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
    const victim = trial.victim(leader);
    const leads = victim === leader;
    const cutMs = CUT_MS[i % 2] as number;
    const tookMs = await cutOff({ trial, network }, victim, leads, withStore, cutMs);
    figures.worst("ms at worst until writes went on beside a partition", tookMs);
    figures.add({
      partitions: 1,
      "from the store, too": withStore ? 1 : 0,
      "of the leader": leads ? 1 : 0,
    });
    leader = await trial.settled();
  }
  if (LONG) await trial.givenOn(GIVEN_ON_MS);
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
