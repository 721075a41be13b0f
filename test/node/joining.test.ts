import { beforeEach, expect, test } from "bun:test";
import { type ErrorCode, HedgerowError } from "../../src/errors.ts";
import type { MemberRecord } from "../../src/members/member.ts";
import { Joining } from "../../src/node/joining.ts";
import { recordOf } from "../simulation/swarm/swarm.ts";
import { Machine } from "../simulation/world/machine.ts";
import { Prng } from "../simulation/world/prng.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";

const SELF = "a:1";
let scheduler: Scheduler;
let logged: string[];
/** How each address answers; those that are not here do. */
let failing: Map<string, ErrorCode>;
/** Codes of what fetch threw there. */
let causes: Map<string, string>;
/** Names at which this node itself answers. */
let itself: Set<string>;
let members: MemberRecord[];
let asked: { seed: string; at: number }[];
let fatal: HedgerowError[];
let joining: Joining;

beforeEach(() => {
  scheduler = new Scheduler();
  logged = [];
  const log = (message: string, fields = {}) => logged.push(`${message} ${JSON.stringify(fields)}`);
  failing = new Map();
  causes = new Map();
  itself = new Set();
  members = [recordOf(SELF, 1)];
  asked = [];
  fatal = [];
  joining = new Joining({
    gossip: {
      members: () => members,
      async sync(seed) {
        asked.push({ seed, at: scheduler.now });
        const code = failing.get(seed);
        const cause = Object.assign(new Error(), { code: causes.get(seed) });
        if (code !== undefined) throw new HedgerowError(code, `${seed} fails`, { cause });
        if (!itself.has(seed) && members.length === 1) members.push(recordOf("z:1", 1));
      },
    },
    runtime: { clock: new Machine(scheduler), random: new Prng(1) },
    logger: { debug: log, info: log, warn: log, error: log },
    address: SELF,
    onAnswer: () => {},
    onFatal: (error) => fatal.push(error),
  });
});

test("an address that is silent is asked again, ever less often, and that is said once", async () => {
  failing.set("b:1", "unavailable");
  await joining.join(["b:1", SELF, "b:1"]);
  expect(joining.awaited).toEqual(["b:1"]);
  scheduler.runUntil(600_000);
  const pauses = asked.map(({ at }, i) => at - (asked[i - 1]?.at ?? 0)).slice(1);
  expect(asked.every(({ seed }) => seed === "b:1")).toBe(true);
  expect(pauses[0]).toBeLessThanOrEqual(1_000);
  expect(Math.max(...pauses)).toBeGreaterThan(30_000);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(60_000);
  expect(asked.length).toBeGreaterThan(12);
  expect(logged.filter((line) => line.startsWith("not joined through these"))).toHaveLength(1);
  failing.clear();
  await Promise.resolve();
  scheduler.runUntil(scheduler.now + 61_000);
  await Promise.resolve();
  expect(joining.awaited).toEqual([]);
  expect(logged.at(-1)).toBe('joined {"through":"b:1"}');
});

test("of whom this node distrusts it says so at once, of whom nobody hears nothing", async () => {
  failing.set("b:1", "unavailable").set("c:1", "unavailable");
  causes.set("b:1", "SELF_SIGNED_CERT_IN_CHAIN").set("c:1", "ECONNREFUSED");
  await joining.meet("b:1");
  expect(logged.at(-1)).toStartWith("not joined: see that all nodes have the same --store");
  await joining.meet("c:1");
  expect(logged.at(-1)).toStartWith("not joined through");
});

test("one that answered is asked again only while it is no member's, every ten minutes", async () => {
  await joining.join(["b:1", "name:1"]);
  expect(joining.awaited).toEqual([]);
  members.push(recordOf("b:1", 1));
  scheduler.runUntil(599_000);
  expect(asked.filter(({ seed }) => seed === "b:1")).toHaveLength(1);
  expect(asked.filter(({ seed }) => seed === "name:1")).toHaveLength(2);
});

test("who was given nobody to join, or was found by another node, has joined", async () => {
  expect(joining.awaited).toEqual([]);
  await joining.join([SELF]);
  expect(joining.awaited).toEqual([]);
  failing.set("b:1", "timeout");
  await joining.join(["b:1"]);
  expect(joining.awaited).toEqual(["b:1"]);
  members.push(recordOf("c:1", 1));
  expect(joining.awaited).toEqual([]);
});

test("what asking again would not mend is thrown, and in the background ends the node", async () => {
  failing.set("b:1", "wrong_cluster");
  expect(await joining.join(["b:1"]).catch((error) => error.code)).toBe("wrong_cluster");
  failing.set("b:1", "unavailable");
  await joining.join(["b:1"]);
  failing.set("b:1", "wrong_cluster");
  scheduler.runUntil(2_000);
  await Promise.resolve();
  expect(fatal.map(({ code }) => code)).toEqual(["wrong_cluster"]);
});

test("in the background it ends nobody who is among others: that address is dropped", async () => {
  failing.set("b:1", "unavailable");
  await joining.join(["b:1"]);
  members.push(recordOf("c:1", 1));
  failing.set("b:1", "invalid_argument");
  scheduler.runUntil(600_000);
  await Promise.resolve();
  expect(asked).toHaveLength(2);
  expect(fatal).toEqual([]);
  expect(logged.at(-1)).toStartWith("not joined, and not asked again");
});

test("a name at which this node itself answers is asked again soon, and does not keep it unready", async () => {
  itself.add("all:1");
  await joining.join(["all:1"]);
  expect(joining.awaited).toEqual([]);
  for (let i = 0; i < 3; i++) {
    scheduler.runUntil(scheduler.now + 4_000);
    await Promise.resolve();
  }
  expect(asked.length).toBeGreaterThan(2);
  itself.clear();
  scheduler.runUntil(scheduler.now + 60_000);
  await Promise.resolve();
  expect(logged.at(-1)).toBe('joined {"through":"all:1"}');
});

test("after a stop nobody is asked; more than 256 addresses are refused", async () => {
  failing.set("b:1", "unavailable");
  await joining.join(["b:1"]);
  joining.stop();
  scheduler.runUntil(600_000);
  expect(asked).toHaveLength(1);
  const many = Array.from({ length: 257 }, (_, i) => `n:${i}`);
  expect(await joining.join(many).catch((error) => error.code)).toBe("too_large");
});

test("addresses that are given at once are counted together", async () => {
  const many = (name: string) => Array.from({ length: 200 }, (_, i) => `${name}:${i}`);
  const joins = [joining.join(many("n")), joining.join(many("m"))];
  const codes = await Promise.all(joins.map((join) => join.catch((error) => error.code)));
  expect(codes).toEqual([undefined, "too_large"]);
});

test("who met others has joined for good, whoever asked whom, and whoever left since", async () => {
  failing.set("b:1", "unavailable");
  await joining.join(["b:1"]);
  expect(joining.awaited).toEqual(["b:1"]);
  members.push(recordOf("c:1", 1));
  joining.onMembersChange();
  members.pop();
  joining.onMembersChange();
  expect(joining.awaited).toEqual([]);
});
