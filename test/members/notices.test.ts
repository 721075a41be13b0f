import { create } from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { NoticeSchema, PingRequestSchema } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import { toWire } from "../../src/members/member.ts";
import {
  MAX_NOTICE_BYTES,
  noticeFromWire,
  Notices,
  noticeToWire,
} from "../../src/members/notices.ts";
import { FAST_PROFILE, MAX_MEMBERS, MAX_NOTICES } from "../../src/members/timing.ts";
import { recordOf, Swarm, type SwarmNode } from "../simulation/swarm/swarm.ts";

const WALL = 1_700_000_000_000_000;
const timing = FAST_PROFILE;
const LIMIT = 4;

const noticesOf = (self = "self", wall = () => WALL) => new Notices(self, wall);
const bodyOf = (text: string) => new TextEncoder().encode(text);
const notice = (name: string, stamp: number, text = "") => ({ name, stamp, body: bodyOf(text) });
const told = (notices: Notices, name: string) =>
  notices.all().find((one) => one.name === name) ?? notice("nobody", 0);

test("the latest notice of a member counts, whatever order they come in, and is told once", () => {
  const notices = noticesOf();
  notices.hear(notice("b", 2, "two"), true);
  notices.hear(notice("b", 1, "one"), true);
  notices.hear(notice("b", 2, "another two"), true);
  expect(notices.takeFresh()).toEqual([notice("b", 2, "two")]);
  notices.hear(notice("b", 3, "three"), true);
  expect(notices.takeFresh()).toEqual([notice("b", 3, "three")]);
  expect(notices.takeFresh()).toEqual([]);
  expect(notices.all()).toEqual([notice("b", 3, "three")]);
});

test("a message has no more than so many, each is told so often, and the newest first", () => {
  const notices = noticesOf();
  const count = MAX_NOTICES + 10;
  for (let i = 0; i < count; i++) notices.hear(notice(`n${i}`, i + 1), true);
  const first = notices.news(MAX_NOTICES, LIMIT);
  expect(first.map(({ name }) => name)).toEqual(
    Array.from({ length: MAX_NOTICES }, (_, i) => `n${count - 1 - i}`),
  );
  let times = first.length;
  while (notices.hasNews) times += notices.news(MAX_NOTICES, LIMIT).length;
  expect(times).toBe(count * LIMIT);
  expect(notices.news(MAX_NOTICES, LIMIT)).toEqual([]);
});

test("answers leave out what was just heard, and count for nothing", () => {
  const notices = noticesOf();
  notices.hear(notice("a", 1), true);
  notices.hear(notice("b", 1), true);
  notices.hear(notice("c", 5), true);
  const heard = [notice("a", 1), notice("b", 2), notice("c", 4)];
  for (let times = 0; times < 2 * LIMIT; times++) {
    expect(notices.answers(MAX_NOTICES, heard)).toEqual([notice("c", 5)]);
  }
  expect(notices.lackingIn([notice("c", 9)])).toEqual([notice("a", 1), notice("b", 1)]);
});

test("what a newcomer is told is no news, and a member that has gone is forgotten", () => {
  const notices = noticesOf();
  notices.hear(notice("b", 1), false);
  expect([notices.hasNews, notices.takeFresh().length]).toEqual([false, 1]);
  notices.hear(notice("c", 1), true);
  notices.forget("b");
  notices.forget("c");
  expect([notices.all(), notices.news(MAX_NOTICES, LIMIT)]).toEqual([[], []]);
  notices.say(bodyOf("mine"));
  notices.forget("self");
  expect(notices.all()).toHaveLength(1);
});

test("stamps grow, though the clock stands still, and across a start under a clock that is behind", () => {
  let wall = WALL;
  const before = noticesOf("self", () => wall);
  before.say(bodyOf("before"));
  const ghost = told(before, "self");
  expect(before.stamp()).toBeGreaterThan(ghost.stamp);
  expect(before.stamp()).toBe(ghost.stamp + 2);
  wall -= 3_600_000_000;
  const after = noticesOf("self", () => wall);
  after.say(bodyOf("after"));
  expect(told(after, "self").stamp).toBeLessThan(ghost.stamp);
  after.hear(ghost, true); // in the list that it gets when it joins
  expect(told(after, "self").stamp).toBeGreaterThan(ghost.stamp);
  expect(told(after, "self").body).toEqual(bodyOf("after"));
  expect(after.takeFresh()).toEqual([]);
});

test("a notice in this node's name that it did not say is outbid; its own, and old ones, are not", () => {
  const notices = noticesOf();
  notices.say(bodyOf("true"));
  const own = told(notices, "self");
  while (notices.hasNews) notices.news(MAX_NOTICES, LIMIT);
  notices.hear(own, true);
  notices.hear(notice("self", own.stamp - 1, "old"), true);
  expect(notices.hasNews).toBe(false);
  for (const forged of [notice("self", own.stamp, "lie"), notice("self", own.stamp + 1e9, "lie")]) {
    notices.hear(forged, true);
    expect(told(notices, "self")).toEqual({ ...own, stamp: told(notices, "self").stamp });
    expect(told(notices, "self").stamp).toBeGreaterThan(forged.stamp);
    expect(notices.hasNews).toBeTrue();
  }
});

test("what no node says is refused, and too much to say is an error", () => {
  const sound = noticeToWire(notice("b", 1, "x"));
  expect(noticeFromWire(sound)).toEqual(notice("b", 1, "x"));
  for (const wrong of [
    { name: "" },
    { name: "x".repeat(2_000) },
    { stamp: 0n },
    { stamp: 2n ** 53n },
    { body: new Uint8Array(MAX_NOTICE_BYTES + 1) },
  ]) {
    expect(() => noticeFromWire({ ...sound, ...wrong })).toThrow("malformed");
  }
  expect(() => noticesOf().say(new Uint8Array(MAX_NOTICE_BYTES + 1))).toThrow("64 bytes");
});

/** Who has heard what the member said last, of those who live. */
function heardBy(swarm: Swarm, { address }: SwarmNode, text: string): number {
  return swarm.living.filter((node) => node.notices.get(address) === text).length;
}

test("a notice is known to all of 151 nodes within a second, and then nothing more is said of it", () => {
  const swarm = new Swarm(1, { nodes: 151, timing });
  swarm.pass(5_000);
  const [speaker] = swarm.nodes as [SwarmNode];
  speaker.gossip.say(bodyOf("room"));
  expect(swarm.until(1_000, () => heardBy(swarm, speaker, "room") === 150)).toBeLessThan(1_000);
  swarm.pass(5_000);
  const bytes = swarm.transport.bytes.Ping ?? 0;
  swarm.pass(5_000);
  const quiet = (swarm.transport.bytes.Ping ?? 0) - bytes;
  expect(quiet / 5 / 151).toBeLessThan(200); // probes alone
  expect(swarm.transport.bytes.Sync ?? 0).toBeGreaterThan(0);
}, 30_000);

test("notices change no list, and stir no comparison of lists", () => {
  const swarm = new Swarm(2, { nodes: 20, timing });
  swarm.pass(5_000);
  const syncs = swarm.transport.bytes.Sync ?? 0;
  for (let i = 0; i < 20; i++) {
    for (const node of swarm.nodes) node.gossip.say(bodyOf(`${node.address} ${i}`));
    swarm.pass(1_000);
  }
  expect(swarm.transport.bytes.Sync).toBe(syncs);
  expect(swarm.falseDeaths).toEqual([]);
  swarm.pass(2_000);
  for (const node of swarm.nodes) expect(heardBy(swarm, node, `${node.address} 19`)).toBe(19);
});

test("whoever joins knows all notices at once", () => {
  const swarm = new Swarm(3, { nodes: 10, timing });
  for (const node of swarm.nodes) node.gossip.say(bodyOf("old"));
  swarm.pass(3_000);
  const joiner = swarm.add(10);
  joiner.gossip.say(bodyOf("joined"));
  swarm.join(joiner);
  swarm.pass(10); // the answer of the one that it joins through
  expect(joiner.notices.size).toBe(10);
  expect(swarm.until(1_000, () => heardBy(swarm, joiner, "joined") === 10)).toBeLessThan(1_000);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "halves of a partition that was healed tell each other all of their notices (seed %d)",
  (seed) => {
    const swarm = new Swarm(seed, { nodes: 10, timing });
    for (const node of swarm.nodes) node.gossip.say(bodyOf("old"));
    swarm.pass(3_000);
    swarm.partition(swarm.nodes.slice(0, 5));
    swarm.pass(30_000);
    for (const node of swarm.nodes) node.gossip.say(bodyOf("new"));
    swarm.pass(2_000);
    swarm.heal();
    const allHeard = () => swarm.nodes.every((node) => heardBy(swarm, node, "new") === 9);
    expect(swarm.until(10_000, allHeard)).toBeLessThan(10_000);
  },
);

test("a forged notice is outbid, and one from the next century or of nobody is not believed", async () => {
  const swarm = new Swarm(4, { nodes: 5, timing });
  swarm.pass(1_000);
  const [victim, told, ...others] = swarm.nodes as [SwarmNode, SwarmNode, ...SwarmNode[]];
  victim.gossip.say(bodyOf("true"));
  swarm.pass(2_000);
  const now = told.machine.wallMicros();
  const forge = (name: string, stamp: number) => {
    const notices = [create(NoticeSchema, { name, stamp: BigInt(stamp), body: bodyOf("lie") })];
    const self = toWire(recordOf(others[0]?.address ?? "", 1));
    const request = { label: "swarm", target: told.address, self, notices };
    return told.gossip.servePing(create(PingRequestSchema, request));
  };
  await forge(victim.address, Math.floor(now + 200 * 365 * 86_400e6));
  await forge("10.9.9.9:1", now + 1e9);
  expect(heardBy(swarm, victim, "true")).toBe(4);
  await forge(victim.address, Math.floor(now + 50 * 365 * 86_400e6));
  expect(told.notices.get(victim.address)).toBe("lie");
  const isTrue = () => heardBy(swarm, victim, "true") === 4;
  expect(swarm.until(3_000, isTrue)).toBeLessThan(3_000);
  for (const node of swarm.nodes) expect([...node.notices.keys()]).not.toContain("10.9.9.9:1");
  const many = Array(MAX_MEMBERS + 1).fill(create(NoticeSchema, { name: "x", stamp: 1n }));
  const self = toWire(recordOf("10.9.9.8:1", 1));
  const flood = create(PingRequestSchema, {
    label: "swarm",
    target: told.address,
    self,
    notices: many,
  });
  await expect(told.gossip.servePing(flood)).rejects.toMatchObject({ code: "invalid_argument" });
});
