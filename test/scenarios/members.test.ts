import { afterEach, expect, test } from "bun:test";
import type { MemberInfo } from "../../src/node/api.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { LEASE_MS, Story } from "./world.ts";

let story: Story;
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

const stateOf = (at: SimulatedNode, of: SimulatedNode) =>
  at.core.members().find(({ address }) => address === of.address)?.state;

test("M1: halves that know only the lock's row are one cluster again after a partition", () => {
  story = new Story({ nodes: 5 });
  story.settledLeader();
  const { nodes, network } = story.cluster;
  story.cluster.partition(nodes.slice(0, 2), false);
  story.until("each half has given the other up", 20_000, () =>
    nodes.every(({ core }) => core.members().length <= 3),
  );
  network.healAll();
  const healed = () => nodes.every(({ core }) => core.members().length === 5);
  expect(story.until("all know all", 10_000, healed)).toBeLessThan(10_000);
});

test("M8: all nodes are replaced, one by one: never leaderless beyond the lease, nobody lost", () => {
  story = new Story({ nodes: 9 });
  story.settledLeader();
  const { nodes, scheduler } = story.cluster;
  let ledAt = story.now;
  let longestMs = 0;
  const check = scheduler.afterEach;
  scheduler.afterEach = () => {
    check();
    if (story.cluster.leaders().length > 0) ledAt = scheduler.now;
    longestMs = Math.max(longestMs, scheduler.now - ledAt);
  };
  for (const node of nodes) {
    story.cluster.stop(node);
    story.until("it has stopped", 5_000, () => !node.machine.alive);
    story.cluster.restart(node);
    story.pass(300);
  }
  story.until("all know all", 5_000, () =>
    nodes.every(({ core }) => core.members().filter(({ suspect }) => !suspect).length === 9),
  );
  expect(longestMs).toBeLessThan(LEASE_MS);
});

test("a node begins as a viewer where it is told to, and changes its state once the others know", () => {
  story = new Story({ configure: () => ({ state: "viewer" }) });
  story.settledLeader();
  const [node, other] = story.cluster.nodes as [SimulatedNode, SimulatedNode];
  expect(stateOf(other, node)).toBe("viewer");
  expect(story.outcome(node.core.changeState("terminating")).error?.message).toMatch(
    /VIEWER.*TERMINATING/,
  );
  expect(story.outcome(node.core.changeState("participant")).error).toBeNull();
  expect(stateOf(other, node)).toBe("participant");
  expect(story.outcome(node.core.changeState("viewer")).error?.code).toBe("invalid_argument");
  const named = story.outcome(node.core.changeState("king" as "viewer"));
  expect(named.error?.code).toBe("invalid_argument");
});

test("who is alone changes its state at once; who has stopped, not at all", () => {
  story = new Story({ nodes: 1, configure: () => ({ state: "viewer" }) });
  const { core } = story.settledLeader();
  expect(story.outcome(core.changeState("participant")).error).toBeNull();
  story.outcome(core.stop());
  expect(story.outcome(core.changeState("terminating")).error?.code).toBe("stopped");
});

test("observers see a member join, take part, terminate and leave", () => {
  story = new Story({ nodes: 2 });
  const leader = story.settledLeader();
  const follower = story.follower();
  const all: string[] = [];
  const participants: number[] = [];
  const seen = (members: readonly MemberInfo[]) =>
    members.find(({ address }) => address === follower.address)?.state ?? "gone";
  leader.core.observe((members) => all.push(seen(members)));
  leader.core.observe((members) => participants.push(members.length), { participantsOnly: true });
  expect(story.outcome(follower.core.changeState("terminating")).error).toBeNull();
  story.cluster.stop(follower);
  story.until("it is gone", 5_000, () => all.at(-1) === "gone");
  story.cluster.restart(follower);
  story.until("it takes part", 5_000, () => all.at(-1) === "participant");
  expect(all.filter((state, i) => state !== all[i - 1])).toEqual([
    "terminating",
    "gone",
    ...(all.includes("viewer") ? ["viewer"] : []),
    "participant",
  ]);
  expect(participants[0]).toBe(2);
  expect(participants.length).toBe(2);
});
