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
  });
  const enter = (contender: string, name = "jobs", waitedMs = 0) =>
    lines.serveAwait({ name, contender, member: "10.0.0.2:1", waitedMs }).ahead;
  const pass = (ms: number) => scheduler.runUntil(scheduler.now + ms);
  return { lines, enter, pass, told, state, directory };
}

const refusal = (code: string) => expect.objectContaining({ code });

test("a release tells the first; the next after a moment each, if nobody takes the lock", () => {
  const { lines, enter, pass, told } = kit();
  expect([enter("a"), enter("b"), enter("c"), enter("x", "other")]).toEqual([0, 1, 2, 0]);
  lines.serveReleased({ name: "jobs", token: 7n });
  pass(0);
  expect(told).toEqual(["jobs a 7"]);
  pass(TURN_MS);
  expect(told).toEqual(["jobs a 7", "jobs b 7"]);
  lines.serveLeave({ name: "jobs", contender: "b", token: 8n });
  pass(10 * TURN_MS);
  expect(told.length).toBe(2);
});

test("who waits no longer is dropped, and the next is told at once", () => {
  const { lines, enter, pass, told, state } = kit();
  enter("a");
  enter("b");
  state.waits = false;
  lines.serveReleased({ name: "jobs", token: 7n });
  pass(0);
  expect(told).toEqual(["jobs a 7", "jobs b 7"]);
  expect(enter("c")).toBe(0);
});

test("one whose turn it is leaves: the next is told at once", () => {
  const { lines, enter, pass, told } = kit();
  enter("a");
  enter("b");
  lines.serveReleased({ name: "jobs", token: 7n });
  lines.serveLeave({ name: "jobs", contender: "a", token: 0n });
  pass(0);
  expect(told).toEqual(["jobs a 7", "jobs b 7"]);
});

test("who waited longer under an earlier leader comes first", () => {
  const { enter } = kit();
  enter("new", "jobs", 10);
  expect(enter("old", "jobs", 5_000)).toBe(0);
});

test("only a leader keeps lines, and another lease begins with none", () => {
  const { lines, enter, pass, told, state, directory } = kit();
  enter("a");
  lines.serveReleased({ name: "jobs", token: 7n });
  state.token = null;
  directory.learn({ address: "10.0.0.9:1", token: 2, released: false });
  for (const call of [
    () => enter("b"),
    () => lines.serveLeave({ name: "jobs", contender: "a", token: 0n }),
    () => lines.serveReleased({ name: "jobs", token: 8n }),
  ]) {
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
  const { lines, enter } = kit();
  for (const name of ["", "demo_1", "hedge/spindle/lockname/hedgerow"])
    expect(() => enter("a", name)).toThrow(refusal("invalid_argument"));
  expect(() => enter("")).toThrow(refusal("invalid_argument"));
  expect(() => enter("a".repeat(2_000))).toThrow(refusal("too_large"));
  expect(() => lines.serveReleased({ name: "", token: 1n })).toThrow(refusal("invalid_argument"));
  // Of a lock for which nobody waits.
  expect(lines.serveReleased({ name: "jobs", token: 2n ** 64n - 1n })).toEqual({});
  expect(lines.serveLeave({ name: "jobs", contender: "a", token: 0n })).toEqual({});
});
