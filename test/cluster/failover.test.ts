import { expect, test } from "bun:test";
import { AppendLoad } from "./load.ts";
import { Cluster, LONG, type Node } from "./processes.ts";
import { describeOnStores, type StoreKind } from "./stores.ts";

const RUNS = LONG ? 20 : 3;

/** Ends the leader by `signal` under load; gives the milliseconds until the next write is acknowledged. */
async function failOver(kind: StoreKind, nodes: number, signal: NodeJS.Signals): Promise<number> {
  await using store = await kind.make();
  await using cluster = await Cluster.start({ store, nodes });
  const leader = await cluster.settled();
  const load = new AppendLoad(cluster, 8);
  await Bun.sleep(300);
  const endedAt = performance.now();
  leader.signal(signal);
  await leader.exited();
  const tookMs = await writable(cluster.living, endedAt);
  await Bun.sleep(300);
  await load.stop();
  expect(load.acknowledged.length).toBeGreaterThan(50);
  expect(await load.violations(cluster.living[0] as Node)).toEqual([]);
  return tookMs;
}

/** Milliseconds since `from` until each of the nodes has acknowledged a write. */
async function writable(nodes: readonly Node[], from: number): Promise<number> {
  const times = nodes.map(async (node, i) => {
    for (let attempt = 0; ; attempt++) {
      if ((await node.put("probe", "x", `probe-${i}-${attempt}`, 10_000)).ok) {
        return performance.now() - from;
      }
      if (performance.now() - from > 20_000) return Infinity;
    }
  });
  return Math.max(...(await Promise.all(times)));
}

async function failOvers(kind: StoreKind, nodes: number, signal: NodeJS.Signals): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) times.push(await failOver(kind, nodes, signal));
  console.log(`${kind.name}, ${nodes} nodes, ${signal}, ms: ${times.map(Math.round).join(" ")}`);
  return Math.max(...times);
}

describeOnStores("fail-over", (kind) => {
  for (const nodes of kind.clusterSizes) {
    test(
      `kill -9 of the leader of ${nodes}: writes are accepted again within ${kind.killedMs} ms in each of ${RUNS} runs`,
      async () => {
        expect(await failOvers(kind, nodes, "SIGKILL")).toBeLessThan(kind.killedMs);
      },
      RUNS * 30_000,
    );

    test(
      `L8: SIGTERM of the leader of ${nodes}: writes are accepted again within 1 s in each of ${RUNS} runs`,
      async () => {
        expect(await failOvers(kind, nodes, "SIGTERM")).toBeLessThan(1_000);
      },
      RUNS * 30_000,
    );
  }
});
