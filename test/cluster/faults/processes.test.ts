import { expect, test } from "bun:test";
import { Cluster, LONG, type Node, until } from "../processes.ts";
import { describeOnStores, type StoreKind } from "../stores.ts";
import { Figures } from "./figures.ts";
import { Trial } from "./trial.ts";

const LEASE_MS = 2_000;
const STOP_MS = 1.5 * LEASE_MS;
const CLUSTERS = LONG ? 10 : 1;
/** Of each cluster. */
const KILLS = 10;
const STOPS = 2;
/** After so many, other semaphores are used: permits that were held at killed nodes are free after 7 s only. */
const KILLS_PER_SEMAPHORE = 3;
const GIVEN_ON_MS = 15_000;

/**
 * Kills a node, and starts it again at its address, soon or only when the others go on; the milliseconds until
 * each of them has acknowledged a write.
 */
async function kill(trial: Trial, victim: Node): Promise<number> {
  victim.signal("SIGKILL");
  await victim.exited();
  const writable = trial.writable(trial.cluster.living);
  if (Math.random() < 0.5) victim.start();
  const tookMs = await writable;
  if (!victim.running) victim.start();
  return tookMs;
}

/** Stops a node, and lets it go on where it was. Whether the others wrote meanwhile. */
async function stop(trial: Trial, victim: Node): Promise<boolean> {
  const others = trial.cluster.nodes.filter((node) => node !== victim);
  victim.signal("SIGSTOP");
  const writable = trial.writable(others);
  await Bun.sleep(STOP_MS);
  victim.signal("SIGCONT");
  await until("the node answers", LEASE_MS, async () => (await victim.status()) !== null);
  return (await writable) < STOP_MS;
}

/** One cluster lives through all of them; what was wrong. */
async function surviving(kind: StoreKind, figures: Figures): Promise<string[]> {
  await using store = await kind.make();
  await using cluster = await Cluster.start({ store });
  let leader = await cluster.settled();
  const trial = new Trial(kind, cluster);
  for (let i = 1; i <= KILLS; i++) {
    const killed = trial.victim(leader);
    figures.add({ kills: 1, "kills of the leader": killed === leader ? 1 : 0 });
    figures.worst("ms at worst to recover from a kill", await kill(trial, killed));
    leader = await trial.settled();
    if (i % KILLS_PER_SEMAPHORE === 0) trial.holders.renewSemaphores();
    if (i % (KILLS / STOPS) !== 0) continue;
    const stopped = trial.victim(leader);
    const isOutlived = await stop(trial, stopped);
    figures.add({ stops: 1, "stops of the leader": stopped === leader ? 1 : 0 });
    figures.add({ "of them with another leader": stopped === leader && isOutlived ? 1 : 0 });
    leader = await trial.settled();
  }
  await trial.givenOn(GIVEN_ON_MS);
  const violations = await trial.finish();
  figures.add(trial.figures);
  return violations;
}

describeOnStores("processes that are killed or stopped", (kind) => {
  test(
    `${CLUSTERS * KILLS} kill -9 and ${CLUSTERS * STOPS} stops of 1.5 leases: nothing is lost, twice, out of order or held by too many`,
    async () => {
      const figures = new Figures();
      for (let i = 0; i < CLUSTERS; i++) expect(await surviving(kind, figures)).toEqual([]);
      figures.print(kind.name);
    },
    CLUSTERS * 200_000,
  );
});
