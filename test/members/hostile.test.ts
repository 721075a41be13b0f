import { create } from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import {
  GossipService,
  Liveness,
  MemberSchema,
  PeerState,
  PingRequestSchema,
  SyncRequestSchema,
} from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import {
  MAX_INCARNATION,
  MAX_VERSION,
  type MemberRecord,
  toWire,
} from "../../src/members/member.ts";
import { FAST_PROFILE, MAX_MEMBERS } from "../../src/members/timing.ts";
import { serve } from "../../src/rpc/port.ts";
import { recordOf, Swarm, type SwarmNode } from "../simulation/swarm/swarm.ts";

const timing = FAST_PROFILE;

/** The member lists of all living nodes, as users see them. */
function lists(swarm: Swarm): string[] {
  return swarm.living.map(({ address, gossip }) =>
    [address, ...gossip.members().map((m) => `${m.name}/${m.incarnation}/${m.state}`)].join(" "),
  );
}

function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "taken",
    (error: unknown) => HedgerowError.from(error).code,
  );
}

function ping(to: SwarmNode, from: MemberRecord, updates: object[] = [], label = "swarm") {
  const updated = updates.map((update) => create(MemberSchema, update));
  const self = toWire(from);
  const request = { label, target: to.address, self, updates: updated };
  return to.gossip.servePing(create(PingRequestSchema, request));
}

test("M4: an insider with another label changes no list", async () => {
  const swarm = new Swarm(1, { nodes: 5, timing });
  swarm.pass(1_000);
  const before = lists(swarm);
  const stranger = recordOf("10.9.9.9:8080", 1_700_000_000_000);
  for (const node of swarm.living) {
    expect(await codeOf(ping(node, stranger, [], "another"))).toBe("other_cluster");
    const cluster = { label: "another", leaseMs: 30_000 };
    const sync = create(SyncRequestSchema, { cluster, self: toWire(stranger) });
    expect(await codeOf(node.gossip.serveSync(sync))).toBe("other_cluster");
  }
  swarm.pass(5_000);
  expect(lists(swarm)).toEqual(before);
});

const sound = {
  name: "10.9.9.9:8080",
  address: "10.9.9.9:8080",
  incarnation: 1n,
  version: 1,
  liveness: Liveness.ALIVE,
  state: PeerState.PARTICIPANT,
};
const MALFORMED: Readonly<Record<string, object>> = {
  "incarnation 2^53": { ...sound, incarnation: 2n ** 53n },
  "incarnation 2^64 - 1": { ...sound, incarnation: 2n ** 64n - 1n },
  "incarnation 0": { ...sound, incarnation: 0n },
  "a version past the last": { ...sound, version: MAX_VERSION + 1 },
  "no address": { ...sound, address: "" },
  "a name of 100 KB": { ...sound, name: "x".repeat(100_000) },
  "no liveness": { ...sound, liveness: Liveness.UNSPECIFIED },
  "an unknown state": { ...sound, state: 9 },
  "a thousand accusers": { ...sound, accusers: Array(1_000).fill("x") },
};

for (const [what, member] of Object.entries(MALFORMED)) {
  test(`a message with ${what} is refused whole`, async () => {
    const swarm = new Swarm(1, { nodes: 3, timing });
    swarm.pass(1_000);
    const before = lists(swarm);
    const [node, other] = swarm.living as [SwarmNode, SwarmNode];
    const from = other.gossip.members().find((m) => m.address === other.address) as MemberRecord;
    expect(await codeOf(ping(node, from, [sound, member]))).toBe("invalid_argument");
    const cluster = { label: "swarm", leaseMs: 30_000 };
    const members = [sound, member].map((init) => create(MemberSchema, init));
    const sync = create(SyncRequestSchema, { cluster, self: toWire(from), members });
    expect(await codeOf(node.gossip.serveSync(sync))).toBe("invalid_argument");
    swarm.pass(2_000);
    expect(lists(swarm)).toEqual(before);
  });
}

test("a list over the limit is refused", async () => {
  const swarm = new Swarm(1, { nodes: 2, timing });
  const [node] = swarm.living as [SwarmNode];
  const from = recordOf("10.0.0.2:8080", 1_700_000_000_000);
  const many = Array.from({ length: MAX_MEMBERS + 1 }, (_, i) => ({
    ...sound,
    name: `n${i}`,
    address: `n${i}:1`,
  }));
  expect(await codeOf(ping(node, from, many))).toBe("invalid_argument");
});

test("a flood of suspicion and of deaths, with forged witnesses, removes nobody", () => {
  const swarm = new Swarm(2, { nodes: 9, timing });
  swarm.pass(2_000);
  const names = (node: SwarmNode) => node.gossip.members().map(({ address }) => address);
  const before = swarm.living.map(names);
  for (let i = 0; i < 600; i++) {
    const node = swarm.prng.pick(swarm.living);
    const from = swarm.prng.pick(swarm.living);
    const speaking = from.gossip.members().find((m) => m.address === from.address) as MemberRecord;
    const accusers = names(node).slice(0, 5);
    const updates = node.gossip
      .members()
      .map((member) => ({ ...toWire(member), accusers }))
      .map((member) => ({
        ...member,
        liveness: i % 2 === 0 ? Liveness.SUSPECT : Liveness.DEAD,
      }));
    void ping(node, speaking, updates);
    swarm.pass(50);
  }
  expect(swarm.falseDeaths).toEqual([]);
  swarm.pass(5_000);
  expect(swarm.living.map(names)).toEqual(before);
  // No echo goes on by itself.
  expect(swarm.living.map(({ gossip }) => gossip.standing.newsSize)).toEqual(Array(9).fill(0));
}, 60_000);

test("whatever was said before is said again: no list changes", () => {
  const swarm = new Swarm(3, { nodes: 9, timing });
  const said: { readonly to: string; readonly method: string; readonly bytes: Uint8Array }[] = [];
  swarm.transport.onRequest = (to, method, bytes) => said.push({ to, method, bytes });
  swarm.pass(1_000);
  swarm.crash(swarm.node(3));
  void swarm
    .node(4)
    .gossip.leave()
    .then(() => swarm.node(4).machine.kill());
  swarm.join(swarm.add(9));
  swarm.pass(10_000);
  swarm.restart(swarm.node(4).address);
  swarm.pass(10_000);
  expect(swarm.isWhole()).toBe(true);
  swarm.transport.onRequest = () => {};
  const before = lists(swarm);
  for (let i = 0; i < 2_000; i++) {
    const { to, method, bytes } = swarm.prng.pick(said);
    swarm.transport.inject(to, method, bytes);
    swarm.pass(5);
    expect(lists(swarm)).toEqual(before);
  }
});

test("M5: an equal time with another state is refuted by whom it concerns", async () => {
  const swarm = new Swarm(4, { nodes: 5, timing });
  swarm.pass(1_000);
  const victim = swarm.node(3);
  const own = victim.gossip.members().find((m) => m.address === victim.address) as MemberRecord;
  const forged = toWire({ ...own, state: PeerState.TERMINATING });
  const from = recordOf(swarm.node(1).address, 1_700_000_000_000);
  await ping(victim, from, [forged]);
  swarm.pass(2_000);
  for (const { gossip } of swarm.living) {
    const seen = gossip.members().find((m) => m.address === victim.address) as MemberRecord;
    expect(seen.state).toBe(PeerState.PARTICIPANT);
    expect(seen.version).toBeGreaterThan(own.version);
  }
});

const centuryMs = 100 * 365 * 86_400_000;

for (const [what, incarnation] of Object.entries({
  "the greatest incarnation": MAX_INCARNATION,
  "an incarnation of the next century": 1_700_000_000_000 + centuryMs + 3_600_000,
})) {
  test(`of a statement with ${what} nothing is believed, and the rest of the message is`, async () => {
    const swarm = new Swarm(5, { nodes: 5, timing });
    swarm.pass(1_000);
    const before = lists(swarm);
    const victim = swarm.node(3);
    const from = recordOf(swarm.node(1).address, 1_700_000_000_000);
    for (const liveness of [Liveness.ALIVE, Liveness.SUSPECT, Liveness.DEAD, Liveness.LEFT]) {
      const forged = toWire({ ...recordOf(victim.address, incarnation), liveness });
      for (const node of swarm.living) await ping(node, from, [forged]);
    }
    swarm.pass(5_000);
    expect(lists(swarm)).toEqual(before);
    expect(swarm.falseDeaths).toEqual([]);
  });
}

test("the last incarnation that is believed, forged for a death, is outbid in time", async () => {
  const swarm = new Swarm(6, { nodes: 9, timing });
  swarm.pass(1_000);
  const victim = swarm.node(3);
  const incarnation = 1_700_000_000_000 + Math.floor(swarm.now) + centuryMs;
  const from = recordOf(swarm.node(1).address, 1_700_000_000_000);
  const forged = { ...recordOf(victim.address, incarnation), liveness: Liveness.DEAD };
  for (const version of [0, MAX_VERSION]) {
    for (const node of swarm.living) await ping(node, from, [toWire({ ...forged, version })]);
  }
  swarm.pass(10_000);
  expect(victim.gossip.incarnation).toBeGreaterThan(incarnation);
  expect(swarm.isWhole()).toBe(true);
  expect(swarm.falseDeaths).toEqual([]);
});

test("names of nobody as accusers, in thousands, bring no death forward and are not passed on", async () => {
  const swarm = new Swarm(7, { nodes: 5, timing });
  swarm.pass(1_000);
  const [node, , , victim] = swarm.living as [SwarmNode, SwarmNode, SwarmNode, SwarmNode];
  const from = recordOf(swarm.node(1).address, 1_700_000_000_000);
  for (let i = 0; i < 1_000; i++) {
    const accusers = Array.from({ length: 16 }, (_, j) => `nobody-${16 * i + j}`);
    const forged = { ...recordOf(victim.address, 1_700_000_000_000), accusers };
    await ping(node, from, [toWire({ ...forged, liveness: Liveness.SUSPECT })]);
    const own = node.gossip.members().find(({ address }) => address === victim.address);
    expect(own?.accusers ?? []).toEqual([]);
  }
  swarm.pass(5_000);
  expect(swarm.isWhole()).toBe(true);
  expect(swarm.falseDeaths).toEqual([]);
});

test("made-up members fill a list to its bound, drive no real one out, and go with a good-bye", async () => {
  const swarm = new Swarm(8, { nodes: 4, timing });
  swarm.pass(1_000);
  const node = swarm.node(0);
  const from = recordOf(swarm.node(1).address, 1_700_000_000_000);
  const many = Array.from({ length: MAX_MEMBERS }, (_, i) => toWire(recordOf(`n${i}:1`, 1)));
  await ping(node, from, many);
  const members = node.gossip.members();
  expect(members.length).toBe(MAX_MEMBERS);
  expect(members.filter(({ address }) => address.startsWith("10.0.0.")).length).toBe(4);
  await ping(
    node,
    from,
    many.map((made) => ({ ...made, liveness: Liveness.LEFT })),
  );
  swarm.pass(5_000);
  expect(node.gossip.members().length).toBe(4);
});

test("a member that claims other settings than the cluster's ends nobody", async () => {
  const swarm = new Swarm(6, { nodes: 5, timing });
  swarm.pass(1_000);
  const liar = "10.9.9.9:8080";
  let syncs = 0;
  swarm.transport.listen(liar, swarm.node(0).machine, [
    serve(GossipService.method.ping, async () => ({ digest: 1 })),
    serve(GossipService.method.sync, async () => {
      syncs++;
      return { cluster: { label: "swarm", leaseMs: 1 } };
    }),
  ]);
  for (const node of swarm.living) await ping(node, recordOf(liar, 1_700_000_000_000));
  // Whoever is ended throws.
  swarm.pass(5_000);
  await Promise.resolve();
  expect(syncs).toBeGreaterThan(5);
  expect(swarm.living.map((node) => node.members.size)).toEqual([6, 6, 6, 6, 6]);
});
