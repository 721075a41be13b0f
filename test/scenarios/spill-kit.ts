import { expect } from "bun:test";
import { GossipService, Liveness, PeerState } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { loadSealing } from "../../src/spill/sealed.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Machine } from "../simulation/world/machine.ts";
import { pour } from "../spill/kit.ts";
import { Story } from "./world.ts";

export const RECORD_BYTES = 1_000;
export const RECORDS = 1_500;
export const EXPIRY_MS = 30_000;
export const keptBy = ({ core }: SimulatedNode) => core.spill.memory.used;

export interface Spilled {
  readonly story: Story;
  readonly owner: SimulatedNode;
  readonly holder: SimulatedNode;
  readonly store: SpillStore;
}

/** So many nodes, and a store of the first that has records on others. */
export async function spilled({ nodes = 2, seed = 1 } = {}): Promise<Spilled> {
  await loadSealing(); // which takes real time
  const join = ["10.0.0.1:8080"];
  const story = new Story({ nodes, stored: false, configure: () => ({ join }) }, seed);
  const [owner, holder] = story.cluster.nodes as [SimulatedNode, SimulatedNode];
  story.until("all know all", 10_000, () =>
    story.cluster.nodes.every((node) => knows(node, nodes)),
  );
  const store = owner.core.spill.store("a");
  expect(story.outcome(pour(store, 0, RECORDS, RECORD_BYTES)).error).toBeNull();
  store.writer(); // which keeps it from expiring
  story.pass(1_000); // what is under way comes to its place
  const { remoteMemory } = store.stats().tiers;
  expect(remoteMemory.bytes).toBeGreaterThan(200_000);
  return { story, owner, holder, store };
}

export const knows = ({ core }: SimulatedNode, count: number) => core.members().length === count;
export const incarnationAt = ({ core }: SimulatedNode, { address }: SimulatedNode) =>
  core.members().find((member) => member.address === address)?.incarnation ?? 0;

/** Tells `listener` that `victim` has been started anew, which it has not: gives the incarnation that is claimed. */
export function claim(story: Story, listener: SimulatedNode, victim: SimulatedNode): number {
  const incarnation = incarnationAt(listener, victim) + 1_000_000;
  const forged = {
    name: "",
    address: victim.address,
    incarnation: BigInt(incarnation),
    version: 1,
    liveness: Liveness.ALIVE,
    state: PeerState.PARTICIPANT,
  };
  const { scheduler, network } = story.cluster;
  const peers = network.peersOf("10.9.9.9:1", new Machine(scheduler));
  const ping = { label: "simulated", target: listener.address, self: forged };
  peers.unary(listener.address, GossipService.method.ping, ping).catch(() => {}); // it may be paused
  return incarnation;
}
