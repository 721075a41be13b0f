import { create } from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { PingRequestSchema } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import { Liveness, type MemberRecord, toWire } from "../../src/members/member.ts";
import { FAST_PROFILE } from "../../src/members/timing.ts";
import { recordOf, Swarm, type SwarmNode } from "../simulation/swarm/swarm.ts";

// A name is its holder's until that is gone; an address may be another node's at any time.
const timing = FAST_PROFILE;

function lists(swarm: Swarm, those = swarm.living): string[] {
  return those.map(({ gossip }) =>
    gossip
      .members()
      .map(({ name, address, incarnation }) => `${name} ${address} ${incarnation}`)
      .join(),
  );
}

function ping(to: SwarmNode, from: MemberRecord, updates: readonly MemberRecord[] = []) {
  const said = { self: toWire(from), updates: updates.map(toWire) };
  const target = (to.gossip.members() as MemberRecord[]).find((m) => m.address === to.address);
  const request = { label: "swarm", target: target?.name ?? "", ...said };
  return to.gossip.servePing(create(PingRequestSchema, request));
}

function withNamed(seed: number): { swarm: Swarm; named: SwarmNode } {
  const swarm = new Swarm(seed, { nodes: 8, timing });
  const named = swarm.add(8, "pod-0");
  swarm.join(named);
  swarm.pass(2_000);
  expect(swarm.isWhole()).toBe(true);
  return { swarm, named };
}

test("a newcomer with a name that is taken is refused, is told whose it is, and changes no list", async () => {
  const { swarm } = withNamed(1);
  const old = swarm.living;
  const before = lists(swarm);
  const newcomer = swarm.add(9, "pod-0");
  const joining = newcomer.gossip.sync(swarm.node(0).address).catch(HedgerowError.from);
  swarm.pass(5_000);
  const error = (await joining) as HedgerowError;
  expect(error.code).toBe("invalid_argument");
  expect(error.message).toMatch(/pod-0 is taken by 10\.0\.0\.9:8080: choose another --name/);
  expect(lists(swarm, old)).toEqual(before);
  expect(swarm.falseDeaths).toEqual([]);
});

test("who claims a member's name with an address of its own, in whatever way, changes no list", async () => {
  const { swarm, named } = withNamed(2);
  const before = lists(swarm);
  const later = 1_800_000_000_000;
  for (const liveness of [Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD, Liveness.LEFT]) {
    const claim = { ...recordOf("10.9.9.9:8080", later, "pod-0"), liveness };
    for (const node of swarm.living) {
      await ping(node, claim);
      await ping(node, recordOf(swarm.node(0).address, 1_700_000_000_000), [claim]);
    }
    swarm.pass(3_000);
  }
  const held = named.gossip.members().find(({ name }) => name === "pod-0");
  expect(held?.address).toBe(named.address);
  expect(lists(swarm)).toEqual(before);
  expect(swarm.falseDeaths).toEqual([]);
});

test("halves that each had a node of one name go on after they meet: each keeps its own", () => {
  const swarm = new Swarm(3, { nodes: 8, timing });
  const halves = [0, 1].map((side) => swarm.nodes.filter((_, i) => i % 2 === side));
  swarm.partition(halves[1] as SwarmNode[]);
  swarm.pass(10_000);
  const namesakes = halves.map((half, side) => {
    const node = swarm.add(8 + side, "pod-0");
    if (side === 1) swarm.partition([...half, node]);
    swarm.join(node, half[0]);
    return node;
  });
  swarm.pass(3_000);
  swarm.heal();
  swarm.pass(20_000);
  for (const [side, half] of halves.entries()) {
    for (const { gossip } of half) {
      const addresses = gossip.members().map(({ address }) => address);
      expect(addresses).toContain((namesakes[side] as SwarmNode).address);
      // Nobody else is lost over it.
      expect(addresses.length).toBe(9);
    }
  }
});

test("a name is free at once after a good-bye, and after a crash as soon as that is known", () => {
  for (const crashes of [false, true]) {
    const { swarm, named } = withNamed(4);
    if (crashes) swarm.crash(named);
    else void named.gossip.leave().then(() => named.machine.kill());
    swarm.pass(crashes ? 6_000 : 300);
    const successor = swarm.add(10, "pod-0");
    swarm.join(successor);
    swarm.pass(2_000);
    expect(swarm.isWhole()).toBe(true);
    for (const { gossip } of swarm.living) {
      const held = gossip.members().find(({ name }) => name === "pod-0");
      expect(held?.address).toBe(successor.address);
    }
  }
});

test("under another name at the address of one that crashed: the newcomer stays, the ghost goes", () => {
  const { swarm, named } = withNamed(5);
  swarm.crash(named);
  swarm.pass(100);
  swarm.join(swarm.add(8, "pod-1"));
  swarm.pass(8_000);
  for (const { gossip } of swarm.living) {
    const there = gossip.members().filter(({ address }) => address === named.address);
    expect(there.map(({ name }) => name)).toEqual(["pod-1"]);
  }
});

test("all restart at once, by clocks an hour behind: no ghost keeps anybody out", () => {
  const swarm = new Swarm(6, { nodes: 20, timing });
  swarm.pass(2_000);
  const addresses = swarm.nodes.map(({ address }) => address);
  for (const [i, address] of addresses.entries()) {
    swarm.crash(swarm.node(i));
    if (i % 2 === 1) swarm.pass(50);
    swarm.restart(address, i % 3 === 0 ? -3_600_000 : 0);
  }
  swarm.until(20_000, () => swarm.isWhole());
  swarm.pass(10_000);
  expect(swarm.living.length).toBe(20);
  expect(swarm.isWhole()).toBe(true);
});
