import { expect, test } from "bun:test";
import { Deadlines } from "../../src/rpc/deadlines.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { ManualClock } from "./kit/clock.ts";

function entryOf(clock: Clock, ms: number, expired: string[], name: string) {
  return { deadline: clock.now() + ms, expire: () => void expired.push(name) };
}

test("each entry expires at its deadline, whatever the order they came in", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  for (const [name, ms] of [
    ["late", 300],
    ["early", 100],
    ["middle", 200],
  ] as const) {
    deadlines.add(entryOf(clock, ms, expired, name));
  }
  clock.pass(99);
  expect(expired).toEqual([]);
  clock.pass(1);
  expect(expired).toEqual(["early"]);
  clock.pass(200);
  expect(expired).toEqual(["early", "middle", "late"]);
});

test("one timer serves all, and none is left when no entry is", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const entries = Array.from({ length: 100 }, (_, i) => entryOf(clock, 100 + i, [], ""));
  for (const entry of entries) deadlines.add(entry);
  expect(clock.timers.size).toBe(1);
  for (const entry of entries) deadlines.delete(entry);
  expect(clock.timers.size).toBe(0);
});

test("deleted entries do not expire, and entries close to each other share a firing", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const gone = entryOf(clock, 50, expired, "gone");
  deadlines.add(gone);
  for (let i = 0; i < 4; i++) deadlines.add(entryOf(clock, 100 + i, expired, `${i}`));
  deadlines.delete(gone);
  clock.pass(100);
  expect(expired).toEqual(["0"]);
  clock.pass(5);
  expect(expired).toEqual(["0", "1", "2", "3"]);
});

test("an entry that is added while others expire is not lost", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const again = () => deadlines.add(entryOf(clock, 20, expired, "second"));
  deadlines.add({ deadline: clock.now() + 10, expire: again });
  clock.pass(29);
  expect(expired).toEqual([]);
  clock.pass(1);
  expect(expired).toEqual(["second"]);
});
