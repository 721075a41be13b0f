import { expect, test } from "bun:test";
import { GossipService, Liveness, PeerState } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { loadSealing } from "../../src/spill/sealed.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Machine } from "../simulation/world/machine.ts";
import { checkAll, pour } from "../spill/kit.ts";
import { Story } from "./world.ts";

const RECORD_BYTES = 1_000;
const RECORDS = 1_500;
const EXPIRY_MS = 30_000;
const keptBy = ({ core }: SimulatedNode) => core.spill.memory.used;

/** Two nodes, and a store of the one that has records on the other. */
async function spilled(): Promise<{
  story: Story;
  owner: SimulatedNode;
  holder: SimulatedNode;
  store: SpillStore;
}> {
  await loadSealing(); // which takes real time
  const join = ["10.0.0.1:8080"];
  const story = new Story({ nodes: 2, stored: false, configure: () => ({ join }) });
  const [owner, holder] = story.cluster.nodes as [SimulatedNode, SimulatedNode];
  story.until("both know both", 10_000, () => story.cluster.nodes.every(knowsBoth));
  const store = owner.core.spill.store("a");
  expect(story.outcome(pour(store, 0, RECORDS, RECORD_BYTES)).error).toBeNull();
  store.writer(); // which keeps it from expiring
  story.pass(1_000); // what is under way comes to its place
  expect(keptBy(holder)).toBeGreaterThan(200_000);
  return { story, owner, holder, store };
}

const knowsBoth = ({ core }: SimulatedNode) => core.members().length === 2;
const incarnationAt = ({ core }: SimulatedNode, { address }: SimulatedNode) =>
  core.members().find((member) => member.address === address)?.incarnation ?? 0;

/** Tells `listener` that `victim` has been started anew. It has not, and outbids it. */
function forge(story: Story, listener: SimulatedNode, victim: SimulatedNode): void {
  const { address } = victim;
  const incarnation = incarnationAt(listener, victim) + 1_000_000;
  const forged = {
    name: "",
    address,
    incarnation: BigInt(incarnation),
    version: 1,
    liveness: Liveness.ALIVE,
    state: PeerState.PARTICIPANT,
  };
  const { scheduler, network } = story.cluster;
  const peers = network.peersOf("10.9.9.9:1", new Machine(scheduler));
  const ping = { label: "simulated", target: listener.address, self: forged };
  expect(story.outcome(peers.unary(listener.address, GossipService.method.ping, ping)).error).toBe(
    null,
  );
  story.until("it is outbid", 10_000, () => incarnationAt(listener, victim) > incarnation);
}

test("P5: an owner whose incarnation is claimed by another one outbids it, and loses nothing of what it has elsewhere", async () => {
  const { story, owner, holder, store } = await spilled();
  const before = keptBy(holder);
  forge(story, holder, owner);
  story.pass(2 * EXPIRY_MS);
  expect(keptBy(holder)).toBe(before);
  forge(story, holder, owner);
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect([read.error, read.value]).toEqual([null, RECORDS]);
  // What it sends from now on belongs to the same process.
  expect(story.outcome(pour(store, RECORDS, RECORDS + 300, RECORD_BYTES)).error).toBeNull();
  story.pass(2 * EXPIRY_MS);
  const again = story.outcome(checkAll(store, RECORD_BYTES));
  expect([again.error, again.value]).toEqual([null, RECORDS + 300]);
});

test("P3: a holder whose incarnation is claimed by another one keeps what it has", async () => {
  const { story, owner, holder, store } = await spilled();
  forge(story, owner, holder);
  story.pass(2 * EXPIRY_MS);
  expect(story.outcome(pour(store, RECORDS, RECORDS + 300, RECORD_BYTES)).error).toBeNull();
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect([read.error, read.value]).toEqual([null, RECORDS + 300]);
});

test("P5: an owner that is started anew at its address: the others free what they kept as soon as they hear of it", async () => {
  const { story, owner, holder } = await spilled();
  story.cluster.crash(owner);
  story.cluster.restart(owner);
  const tookMs = story.until("it is freed", EXPIRY_MS, () => keptBy(holder) === 0);
  expect(tookMs).toBeLessThan(3_000);
});

test("P5: an owner that does not come back: the others free what they kept within the expiry", async () => {
  const { story, owner, holder } = await spilled();
  story.cluster.crash(owner);
  story.until("it is freed", EXPIRY_MS, () => keptBy(holder) === 0);
});

/** What an append of more than a segment is told, null for nothing. */
function told(story: Story, store: SpillStore): string | null {
  const { count } = store;
  return story.outcome(pour(store, count, count + 300, RECORD_BYTES)).error?.code ?? null;
}

test("P3: two halves that meet again within the expiry: writers are told meanwhile, and nothing is lost", async () => {
  const { story, owner, holder, store } = await spilled();
  const kept = keptBy(holder);
  story.cluster.partition([owner], false);
  story.until("the holder is given up", 15_000, () => owner.core.members().length === 1);
  story.until("writers are told", 5_000, () => told(story, store) === "data_lost");
  story.cluster.network.healAll();
  story.until("they may go on", EXPIRY_MS, () => told(story, store) !== "data_lost");
  story.pass(2 * EXPIRY_MS);
  expect(keptBy(holder)).toBeGreaterThanOrEqual(kept);
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect([read.error, read.value]).toEqual([null, store.count]);
});

test("P3: two halves that meet again after the expiry: what was kept is freed there, and lost to its owner", async () => {
  const { story, owner, holder, store } = await spilled();
  story.cluster.partition([owner], false);
  story.until("the lease ends", 2 * EXPIRY_MS, () => keptBy(holder) === 0);
  story.pass(EXPIRY_MS);
  story.cluster.network.healAll();
  story.until("both know both", 120_000, () => story.cluster.nodes.every(knowsBoth));
  story.pass(EXPIRY_MS);
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect(read.error?.code).toBe("data_lost");
  expect(read.error?.lost?.from).toBeGreaterThan(100);
  expect(told(story, store)).toBe("data_lost");
});

test("P3: a holder that is started anew has lost what it had, and keeps what comes then", async () => {
  const { story, holder, store } = await spilled();
  story.cluster.crash(holder);
  story.cluster.restart(holder);
  story.until("writers are told", 10_000, () => told(story, store) === "data_lost");
  const next = story.cluster.nodes[0]?.core.spill.store("b") as SpillStore;
  expect(story.outcome(pour(next, 0, 300, RECORD_BYTES)).error).toBeNull();
  story.pass(EXPIRY_MS);
  expect(told(story, store)).toBe("data_lost");
});
