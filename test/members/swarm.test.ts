import { expect, test } from "bun:test";
import { join } from "node:path";
import { FAST_PROFILE } from "../../src/members/timing.ts";
import { detect, falseDeaths, heal, idle, percentile } from "../simulation/swarm/experiments.ts";
import { Swarm } from "../simulation/swarm/swarm.ts";

// Short versions of what `bun run bench gossip` measures in full.
const timing = FAST_PROFILE;

test("a crash is known to all of 151 nodes within 5 s", () => {
  const { ms, falseDeaths: wrong } = detect({ seed: 1, nodes: 151, timing }, 10);
  expect(ms.length).toBe(10);
  expect(percentile(ms, 0.99)).toBeLessThan(5_000);
  expect(wrong).toEqual([]);
}, 60_000);

test("a crash is known to all of 1,000 nodes within 8 s", () => {
  const { ms, falseDeaths: wrong } = detect({ seed: 1, nodes: 1_000, timing, codecEvery: 97 }, 3);
  expect(ms.length).toBe(3);
  expect(percentile(ms, 1)).toBeLessThan(8_000);
  expect(wrong).toEqual([]);
}, 60_000);

test("M2: at 1% message loss nobody is given up", () => {
  expect(falseDeaths({ seed: 2, nodes: 151, timing }, 0.01, 120_000)).toEqual([]);
}, 60_000);

test("M2: at 10% message loss nobody is given up in a small cluster", () => {
  expect(falseDeaths({ seed: 2, nodes: 7, timing }, 0.1, 600_000)).toEqual([]);
}, 60_000);

test("M1: two halves of 151 nodes are one cluster within 10 s of their partition's end", () => {
  expect(heal({ seed: 3, nodes: 151, timing }, 30_000, 10_000)).toBeLessThan(10_000);
}, 60_000);

test("an idle cluster of 151 says at most 50 B/s per node besides its probes", () => {
  const traffic = idle({ seed: 4, nodes: 151, timing }, 60_000);
  expect(traffic.besides).toBeLessThanOrEqual(50);
  expect(traffic.probes).toBeLessThan(200);
}, 60_000);

test("151 idle nodes in one process take less than 2 MB each", async () => {
  const script = join(import.meta.dir, "../simulation/swarm/memory.ts");
  const child = Bun.spawn([process.execPath, script, "151"], { stdout: "pipe" });
  const megabytes = Number(await new Response(child.stdout).text());
  expect(await child.exited).toBe(0);
  expect(megabytes).toBeGreaterThan(0);
  expect(megabytes).toBeLessThan(151 * 2);
}, 60_000);

test("M1: of three nodes each that is cut off is dropped soon, though the others have just been cut off themselves", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const swarm = new Swarm(seed, { nodes: 3, timing });
    swarm.pass(3_000);
    for (let i = 0; i < 6; i++) {
      const victim = swarm.prng.pick(swarm.nodes);
      const others = swarm.nodes.filter((node) => node !== victim);
      swarm.partition([victim]);
      const isDropped = () => others.every(({ members }) => !members.has(victim.address));
      expect(swarm.until(6_000, isDropped)).toBeLessThan(6_000);
      swarm.pass(4_000);
      swarm.heal();
      expect(swarm.until(6_000, () => swarm.isWhole())).toBeLessThan(6_000);
      swarm.pass(1_000 * swarm.prng.next());
    }
  }
}, 60_000);

test("M3: a node that restarts under its address: the new incarnation wins, the ghost goes", () => {
  const swarm = new Swarm(5, { nodes: 20, timing });
  const { address } = swarm.node(3);
  swarm.pass(1_000);
  swarm.crash(swarm.node(3));
  swarm.pass(100);
  const { incarnation } = swarm.restart(address).gossip;
  const renewed = () =>
    swarm.living.every(({ gossip }) =>
      gossip.members().some((one) => one.address === address && one.incarnation === incarnation),
    );
  expect(swarm.until(3_000, renewed)).toBeLessThan(3_000);
  swarm.pass(20_000);
  expect(swarm.isWhole()).toBe(true);
});

test("M3: under a wall clock that is behind it outbids its ghost", () => {
  const swarm = new Swarm(6, { nodes: 20, timing });
  const { address, gossip: former } = swarm.node(3);
  swarm.pass(1_000);
  swarm.crash(swarm.node(3));
  const { gossip } = swarm.restart(address, -3_600_000);
  swarm.pass(3_000);
  expect(gossip.incarnation).toBeGreaterThan(former.incarnation);
  expect(swarm.isWhole()).toBe(true);
});

test("M4: an address that is another cluster's now: the member goes, the stranger learns nothing", () => {
  const swarm = new Swarm(7, { nodes: 10, timing });
  const { address } = swarm.node(3);
  swarm.pass(1_000);
  swarm.crash(swarm.node(3));
  const stranger = swarm.place(address, "another");
  stranger.gossip.start();
  const gone = () =>
    swarm.living.every(({ members, label }) => label === "another" || !members.has(address));
  expect(swarm.until(5_000, gone)).toBeLessThan(5_000);
  void stranger.gossip.sync(swarm.node(0).address).catch(() => {});
  swarm.pass(10_000);
  expect(stranger.gossip.members().map((member) => member.address)).toEqual([address]);
  expect(gone()).toBe(true);
});

test("M6: who joins and leaves at once is reported as both", () => {
  const swarm = new Swarm(8, { nodes: 10, timing });
  const told: string[] = [];
  swarm.onNote = (node, { joined, left }) => {
    if (node !== swarm.node(0)) return;
    for (const { address } of joined) told.push(`joined ${address}`);
    for (const { address } of left) told.push(`left ${address}`);
  };
  const brief = swarm.add(10);
  swarm.join(brief, swarm.node(0));
  swarm.pass(20);
  void brief.gossip.leave();
  swarm.pass(500);
  expect(told).toEqual([`joined ${brief.address}`, `left ${brief.address}`]);
});

test("M7: a node whose event loop is blocked gives nobody up, and is not given up for a second", () => {
  const swarm = new Swarm(9, { nodes: 20, timing });
  const { machine, address, members } = swarm.node(3);
  swarm.pass(2_000);
  machine.pause();
  swarm.pass(1_000);
  machine.resume();
  swarm.pass(5_000);
  expect(swarm.falseDeaths).toEqual([]);
  machine.pause();
  swarm.pass(30_000);
  machine.resume();
  // The others could not know better; it does.
  expect(swarm.falseDeaths.every((line) => line.endsWith(`gave ${address} up`))).toBe(true);
  swarm.until(5_000, () => swarm.isWhole());
  expect(swarm.isWhole()).toBe(true);
  expect(members.size).toBe(20);
  expect(swarm.falseDeaths.filter((line) => line.includes(`${address} gave`))).toEqual([]);
});

test("M8: all of a hundred nodes are replaced, one after the other: nobody is lost", () => {
  const swarm = new Swarm(10, { nodes: 100, timing });
  for (let i = 0; i < 100; i++) {
    const old = swarm.node(i);
    swarm.join(swarm.add(100 + i));
    swarm.pass(200);
    void old.gossip.leave().then(() => old.machine.kill());
    swarm.pass(300);
  }
  expect(swarm.until(5_000, () => swarm.isWhole())).toBeLessThan(5_000);
  expect(swarm.living.length).toBe(100);
  const lost = swarm.falseDeaths.filter((line) => !/ gave 10\.0\.0\.(\d{1,2}|100):/.test(line));
  expect(lost).toEqual([]);
}, 60_000);

test("all leave and start again at once: nobody stays gone, and the news of it come to an end", () => {
  const swarm = new Swarm(12, { nodes: 30, timing });
  swarm.pass(2_000);
  const old = swarm.nodes;
  for (const { gossip, machine } of old) void gossip.leave().then(() => machine.kill());
  for (const { address } of old) {
    swarm.pass(20);
    swarm.join(swarm.restart(address), swarm.node(0));
  }
  expect(swarm.until(15_000, () => swarm.isWhole())).toBeLessThan(15_000);
  swarm.pass(10_000);
  expect(swarm.isWhole()).toBe(true);
  expect(Math.max(...swarm.living.map(({ gossip }) => gossip.standing.newsSize))).toBe(0);
});

test("a third of 60 nodes crashes at once: the others know within 10 s, and give nobody else up", () => {
  const swarm = new Swarm(11, { nodes: 60, timing });
  swarm.pass(2_000);
  for (let i = 0; i < 20; i++) swarm.crash(swarm.node(3 * i));
  expect(swarm.until(10_000, () => swarm.isWhole())).toBeLessThan(10_000);
  expect(swarm.falseDeaths).toEqual([]);
});
