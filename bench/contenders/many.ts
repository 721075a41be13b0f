// `bun bench/contenders/many.ts NODES SECONDS`: so many nodes in this process, idle. Prints one line of JSON.
import { Hedgerow } from "../../src/node/hedgerow.ts";
import { memoryNetwork } from "../../src/rpc/memory-network.ts";

export interface ManyNodes {
  /** Milliseconds from the first start until all knew all. */
  readonly startMs: number;
  /** Resident memory of the process. */
  readonly megabytes: number;
  /** Payload bytes per second and node, each message counted once: pings and their answers, and all the rest. */
  readonly probes: number;
  readonly besides: number;
  /** Share of one core. */
  readonly cpu: number;
}

const [count, seconds] = process.argv.slice(2).map(Number) as [number, number];
const GIVE_UP_MS = 240_000;
/** News are told for some seconds after the last change. */
const SETTLE_MS = 5_000;
/** Freed memory goes back to the system within this. */
const RETURN_MS = 1_000;

const network = memoryNetwork();
const nodes: Hedgerow[] = [];

/** A counter of all nodes together. */
async function total(name: string): Promise<number> {
  let sum = 0;
  for (const node of nodes) {
    const text = await node.metrics();
    sum += Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  }
  return sum;
}

const sent = async () => ({
  probes: await total("hedgerow_cluster_transport_tx_bytes_total"),
  lists: await total("hedgerow_cluster_transport_stream_tx_bytes_total"),
  others: await total("hedgerow_peer_tx_bytes_total"),
});

const begun = performance.now();
for (let i = 0; i < count; i++) {
  const join = nodes.slice(0, 1).map(({ address }) => address);
  nodes.push(await Hedgerow.start({ store: "none", network, join }));
}
while (nodes.some((node) => node.members().length < count)) {
  if (performance.now() - begun > GIVE_UP_MS) throw new Error(`not all of ${count} know all`);
  await Bun.sleep(10);
}
const startMs = performance.now() - begun;
await Bun.sleep(SETTLE_MS);

const before = await sent();
const cpuBefore = process.cpuUsage();
const since = performance.now();
await Bun.sleep(1_000 * seconds);
const { user, system } = process.cpuUsage(cpuBefore);
const elapsed = (performance.now() - since) / 1e3;
const after = await sent();
Bun.gc(true); // else it is chance how much the start and the counting have left
await Bun.sleep(RETURN_MS);
const megabytes = process.memoryUsage.rss() / 2 ** 20;
const each = (key: keyof typeof before) => (after[key] - before[key]) / elapsed / count;
const measured: ManyNodes = {
  startMs,
  megabytes,
  probes: each("probes"),
  besides: each("lists") + each("others"),
  cpu: (user + system) / 1e6 / elapsed,
};
console.log(JSON.stringify(measured));
await Promise.all(nodes.map((node) => node.stop()));
