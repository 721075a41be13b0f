import { expect, test } from "bun:test";
import { LeaderDirectory } from "../../../src/lock/directory.ts";
import type { Place } from "../../../src/lock/named/line.ts";
import { Lines, REFRESH_MS, TURN_MS } from "../../../src/lock/named/lines.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import { Machine } from "../../simulation/world/machine.ts";
import { Scheduler } from "../../simulation/world/scheduler.ts";

/** Lines of a node whose leadership, and whose members' answers, the test sets. */
function kit() {
  const scheduler = new Scheduler();
  const clock = new Machine(scheduler);
  const told: string[] = [];
  const state = { token: 1 as number | null, waits: true };
  const directory = new LeaderDirectory();
  const lines = new Lines({
    clock,
    logger: silentLogger,
    directory,
    leadership: {
      claim: () => (state.token === null ? null : { token: state.token, fence: null }),
      refute() {},
    },
    self: "10.0.0.1:1",
    tell: async (name: string, { contender }: Place, freed: number) => {
      told.push(`${name} ${contender} ${freed}`);
      return state.waits;
    },
    tellHolder: async (name, { member, token }, next) => {
      told.push(`${member} with ${token}: next for ${name} is ${next.contender}`);
    },
  });
  const enter = (contender: string, name = "jobs", waitedMs = 0) =>
    lines.serveAwait({ name, contender, member: "10.0.0.2:1", waitedMs }).ahead;
  const leave = (contender: string, token = 0n, name = "jobs") =>
    lines.serveLeave({ name, contender, token, member: "10.0.0.3:1" });
  const released = (token: bigint, told = "", name = "jobs") =>
    lines.serveReleased({ name, token, told });
  const pass = (ms: number) => scheduler.runUntil(scheduler.now + ms);
  return { enter, leave, released, pass, told, state, directory };
}

const refusal = (code: string) => expect.objectContaining({ code });

test("a release tells the first; the next after a moment each, if nobody takes the lock", () => {
  const { enter, leave, released, pass, told } = kit();
  expect([enter("a"), enter("b"), enter("c"), enter("x", "other")]).toEqual([0, 1, 2, 0]);
  released(7n);
  pass(0);
  expect(told).toEqual(["jobs a 7"]);
  pass(TURN_MS);
  expect(told).toEqual(["jobs a 7", "jobs b 7"]);
  leave("b", 8n);
  pass(10 * TURN_MS);
  expect(told.slice(2)).toEqual(["10.0.0.3:1 with 8: next for jobs is a"]);
});

test("who waits no longer is dropped, and the next is told at once", () => {
  const { enter, released, pass, told, state } = kit();
  enter("a");
  enter("b");
  state.waits = false;
  released(7n);
  pass(0);
  expect(told).toEqual(["jobs a 7", "jobs b 7"]);
  expect(enter("c")).toBe(0);
});

test("one whose turn it is leaves: the next is told at once", () => {
  const { enter, leave, released, pass, told } = kit();
  enter("a");
  enter("b");
  released(7n);
  leave("a");
  pass(0);
  expect(told).toEqual(["jobs a 7", "jobs b 7"]);
});

test("a holder is told once who is next, whenever that changes, and tells that one itself", () => {
  const { enter, leave, released, pass, told } = kit();
  enter("a");
  leave("a", 7n);
  expect(told).toEqual([]);
  enter("b");
  enter("b");
  enter("c");
  expect(told).toEqual(["10.0.0.3:1 with 7: next for jobs is b"]);
  enter("older", "jobs", 500);
  leave("older");
  expect(told.slice(1)).toEqual([
    "10.0.0.3:1 with 7: next for jobs is older",
    "10.0.0.3:1 with 7: next for jobs is b",
  ]);
  told.length = 0;
  released(7n, "b");
  pass(TURN_MS - 1);
  expect(told).toEqual([]);
  pass(1);
  expect(told).toEqual(["jobs c 7"]);
});

test("the one that a holder told has gone: the leader tells the next", () => {
  const { enter, leave, released, pass, told } = kit();
  enter("a");
  leave("a", 7n);
  enter("b");
  enter("c");
  told.length = 0;
  released(7n, "b");
  leave("b");
  pass(0);
  expect(told).toEqual(["jobs c 7"]);
});

test("the one that a holder told is not in the line: the leader tells the first", () => {
  const { enter, released, pass, told } = kit();
  enter("a");
  released(7n, "gone");
  pass(0);
  expect(told).toEqual(["jobs a 7"]);
});

test("who waited longer under an earlier leader comes first", () => {
  const { enter } = kit();
  enter("new", "jobs", 10);
  expect(enter("old", "jobs", 5_000)).toBe(0);
});

test("only a leader keeps lines, and another lease begins with none", () => {
  const { enter, leave, released, pass, told, state, directory } = kit();
  enter("a");
  released(7n);
  state.token = null;
  directory.learn({ address: "10.0.0.9:1", token: 2, released: false });
  for (const call of [() => enter("b"), () => leave("a"), () => released(8n)]) {
    expect(call).toThrow(refusal("not_leader"));
    expect(call).toThrow(expect.objectContaining({ leader: directory.leader }));
  }
  pass(10 * TURN_MS);
  expect(told).toEqual(["jobs a 7"]);
  state.token = 3;
  expect(enter("b")).toBe(0);
});

test("who has not asked for three intervals is forgotten", () => {
  const { enter, pass } = kit();
  enter("gone");
  for (let i = 0; i < 4; i++) {
    enter("there");
    pass(REFRESH_MS);
  }
  expect(enter("there")).toBe(0);
});

test("C6: what no node says is refused", () => {
  const { enter, leave, released } = kit();
  for (const name of ["", "demo_1", "hedge/spindle/lockname/hedgerow"])
    expect(() => enter("a", name)).toThrow(refusal("invalid_argument"));
  expect(() => enter("")).toThrow(refusal("invalid_argument"));
  expect(() => enter("a".repeat(2_000))).toThrow(refusal("too_large"));
  expect(() => released(1n, "", "")).toThrow(refusal("invalid_argument"));
  // Of a lock for which nobody waits.
  expect(released(2n ** 64n - 1n)).toEqual({});
  expect(leave("a")).toEqual({});
});
