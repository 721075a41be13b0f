import { expect, spyOn, test } from "bun:test";
import { FAST_PROFILE } from "../../src/members/timing.ts";
import type { MembersChange } from "../../src/node/api.ts";
import type { NodeConfig } from "../../src/node/config.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Story } from "./world.ts";

const addressOf = (number: number) => `10.0.0.${number}:8080`;
const FIRST = addressOf(1);

function storyOf(nodes: number, config: Partial<NodeConfig> = {}): Story {
  return new Story({ nodes, stored: false, configure: () => ({ join: [FIRST], ...config }) });
}

const knowing = ({ cluster }: Story, count: number) =>
  cluster.nodes.every(({ machine, core }) => !machine.alive || core.members().length === count);

test("nodes that start before the one that they join through meet it within its back-off", () => {
  const story = storyOf(5);
  const [first, ...others] = story.cluster.nodes;
  if (first === undefined) throw new Error("no nodes");
  story.cluster.crash(first);
  story.pass(30_000);
  for (const { core } of others) {
    expect(core.members().length).toBe(1);
    expect(core.state).toBe("viewer");
    expect(story.outcome(core.ready()).error?.message).toBe(
      `not joined yet: no answer from ${FIRST}`,
    );
  }
  story.cluster.restart(first);
  story.until("all know all", 60_000, () => knowing(story, 5));
  for (const { core } of story.cluster.nodes) {
    expect(core.state).toBe("participant");
    expect(story.outcome(core.ready()).error).toBeNull();
  }
});

test("M1: halves that have forgotten each other are one cluster again, and agree on owners", () => {
  const story = storyOf(6, { gossip: { ...FAST_PROFILE, tombstoneMs: 10_000 } });
  story.until("all know all", 60_000, () => knowing(story, 6));
  const { nodes, network } = story.cluster;
  story.cluster.partition(nodes.slice(0, 3), false);
  story.until("each half has given the other up", 20_000, () => knowing(story, 3));
  story.pass(60_000); // no dead one is tried any more
  const owners = () =>
    nodes.map(({ core }) => ["a", "b", "c", "d"].map((key) => core.sharder.owner(key).name).join());
  expect(new Set(owners()).size).toBe(2);
  network.healAll();
  story.until("all know all", 600_000, () => knowing(story, 6));
  expect(new Set(owners()).size).toBe(1);
});

test("a node that stops says good-bye, and is not ready any more", () => {
  const story = storyOf(3);
  story.until("all know all", 60_000, () => knowing(story, 3));
  const [, second] = story.cluster.nodes;
  if (second === undefined) throw new Error("no nodes");
  expect(story.outcome(second.core.stop()).error).toBeNull();
  story.until("it is gone", 5_000, () => story.cluster.nodes[0]?.core.members().length === 2);
  expect(story.outcome(second.core.ready()).error?.code).toBe("stopped");
});

test("a node that met others without asking them is ready still when they have gone", () => {
  const story = storyOf(2, { join: [] });
  const [first, second] = story.cluster.nodes;
  if (first === undefined || second === undefined) throw new Error("no nodes");
  story.pass(100);
  story.outcome(first.core.join(["10.0.0.9:8080"]));
  expect(story.outcome(first.core.ready()).error?.code).toBe("unavailable");
  story.outcome(second.core.join([first.address]));
  expect(first.core.members().length).toBe(2);
  story.outcome(second.core.stop());
  expect(first.core.members().length).toBe(1);
  expect(story.outcome(first.core.ready()).error).toBeNull();
});

test("a node that stops is told of nobody any more, itself included", () => {
  const told: string[] = [];
  const onMembersChanged = ({ left }: MembersChange) =>
    told.push(...left.map(({ address }) => address));
  const configure = (address: string) => ({
    join: [FIRST],
    ...(address === FIRST && { onMembersChanged }),
  });
  const story = new Story({ nodes: 3, stored: false, configure });
  story.until("all know all", 60_000, () => knowing(story, 3));
  story.outcome((story.cluster.nodes[0] as SimulatedNode).core.stop());
  story.pass(10_000);
  expect(told).toEqual([]);
});

test("a stop whose first steps fail takes the others all the same", () => {
  const story = storyOf(3);
  story.until("all know all", 60_000, () => knowing(story, 3));
  const [first, second] = story.cluster.nodes as [SimulatedNode, SimulatedNode];
  spyOn(second.core.spill, "stop").mockRejectedValue(new Error("disk"));
  expect(story.outcome(second.core.stop()).error?.message).toContain("disk");
  expect(first.core.members().length).toBe(2); // it has said good-bye
  const stopped = story.outcome(second.core.changeState("terminating")).error;
  expect(stopped?.code).toBe("stopped");
});

test("a node that is stopped while it starts neither starts nor stays on a list", () => {
  const story = storyOf(2, { join: [FIRST, addressOf(2)] });
  story.until("all know all", 60_000, () => knowing(story, 2));
  story.cluster.network.cut(addressOf(3), addressOf(2));
  const late = story.cluster.add(addressOf(3));
  story.until("it has met the first one", 1_000, () => late.core.members().length > 1);
  expect(late.core.running).toBe(false);
  story.outcome(late.core.stop());
  const [first] = story.cluster.nodes as [SimulatedNode];
  expect(first.core.members().length).toBe(2);
  story.until("its start has ended", 5_000, () => late.startError !== null);
  expect(late.startError?.code).toBe("stopped");
  expect(late.core.running).toBe(false);
});

test("observers are told who is suspect, and who is no longer", () => {
  const story = storyOf(3);
  story.until("all know all", 60_000, () => knowing(story, 3));
  const [first, second] = story.cluster.nodes as [SimulatedNode, SimulatedNode];
  const told: boolean[] = [];
  first.core.observe((members) => told.push(members.some(({ suspect }) => suspect)));
  story.cluster.pause(second);
  story.until("it is suspect", 5_000, () => told.includes(true));
  story.cluster.resume(second);
  story.until("that is refuted", 5_000, () => told.at(-1) === false);
  expect(first.core.members().length).toBe(3);
});

test("M3: a process of another name at the address of one that died is spoken to once, and outlives its ghost", () => {
  const names = ["pod-0", "pod-1", "pod-2"];
  const heard: string[] = [];
  const configure = () => {
    const name = names.shift() ?? "none";
    return { name, join: [FIRST], onBroadcast: () => void heard.push(name) };
  };
  const story = new Story({ nodes: 2, stored: false, configure });
  story.until("all know all", 60_000, () => knowing(story, 2));
  const [first, second] = story.cluster.nodes as [SimulatedNode, SimulatedNode];
  const vacated = spyOn(first.core.spill, "addressVacated");
  story.cluster.crash(second);
  story.cluster.restart(second);
  story.until("ghost and successor are there", 2_000, () => first.core.members().length === 3);
  expect(vacated.mock.calls).toEqual([[second.address]]);
  const { core } = first;
  expect(story.outcome(Array.fromAsync(core.messaging.broadcast("hello"))).value).toHaveLength(2);
  expect(heard.sort()).toEqual(["pod-0", "pod-2"]);
  // What the successor answers is no sign of life of the ghost.
  for (let calls = 0; calls < 100 && core.members().length > 2; calls++) {
    story.outcome(Array.fromAsync(core.messaging.broadcast("hello")));
    story.pass(100);
  }
  expect(core.members().map(({ name }) => name)).toEqual(["pod-0", "pod-2"]);
  expect(vacated.mock.calls).toEqual([[second.address]]);
});
