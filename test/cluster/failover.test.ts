import { expect, test } from "bun:test";
import { AppendLoad } from "./load.ts";
import { Cluster, LONG, type Node } from "./processes.ts";

const RUNS = LONG ? 20 : 3;

/** Ends the leader by `signal` under load; gives the milliseconds until the next write is acknowledged. */
async function failOver(signal: NodeJS.Signals): Promise<number> {
  await using cluster = await Cluster.start();
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

test(
  `kill -9 of the leader: writes are accepted again within 3.5 s in each of ${RUNS} runs`,
  async () => {
    const times: number[] = [];
    for (let run = 0; run < RUNS; run++) times.push(await failOver("SIGKILL"));
    console.log(`kill -9, ms: ${times.map(Math.round).join(" ")}`);
    expect(Math.max(...times)).toBeLessThan(3_500);
  },
  RUNS * 30_000,
);

test(
  `L8: SIGTERM of the leader: writes are accepted again within 1 s in each of ${RUNS} runs`,
  async () => {
    const times: number[] = [];
    for (let run = 0; run < RUNS; run++) times.push(await failOver("SIGTERM"));
    console.log(`SIGTERM, ms: ${times.map(Math.round).join(" ")}`);
    expect(Math.max(...times)).toBeLessThan(1_000);
  },
  RUNS * 30_000,
);
