import { expect, test } from "bun:test";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import { memoryNetwork } from "../../src/rpc/memory-network.ts";

const KB = 1 << 10;
const SMALL = { store: "none", spillMemory: 256 * KB, spillDisk: 0 } as const;

/** How often the node was asked for its room. */
async function timesAsked(node: Hedgerow): Promise<number> {
  const name = 'hedgerow_peer_calls_served_total{method="Room",code="ok"}';
  const line = (await node.metrics()).split("\n").find((one) => one.startsWith(name));
  return Number(line?.slice(name.length));
}

test("whoever has just joined knows who has room: its first spill goes there at once, and nobody is asked", async () => {
  const network = memoryNetwork();
  const large = { ...SMALL, network, spillMemory: 8_192 * KB };
  await using first = await Hedgerow.start(large);
  await using full = await Hedgerow.start({ ...SMALL, network, join: [first.address] });
  await using joined = await Hedgerow.start({ ...SMALL, network, join: [full.address] });
  const store = joined.spill("a", { memoryBytes: 2_048 * KB });
  await using writer = store.writer();
  for (let i = 0; i < 1_000; i++) await writer.append("x".repeat(1_000));
  expect(store.stats().tiers.remoteMemory.records).toBeGreaterThan(400);
  // Those who could keep something. The newcomer may be asked which start it is.
  expect(await Promise.all([first, full].map(timesAsked))).toEqual([0, 0]);
});
