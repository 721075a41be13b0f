import { expect, test } from "bun:test";
import type { LogStore } from "../../src/store/ports.ts";
import { runSeed } from "./world/run-seed.ts";

const SEEDS = 200;

test(`${SEEDS} seeds of 5 nodes: safe under faults, whole again after them`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = runSeed(seed);
    if (violations.length > 0) {
      throw new Error(`bun run sim --seed ${seed}\n${violations.slice(0, 10).join("\n")}`);
    }
  }
}, 300_000);

test("a seed gives the same history each time, and another seed another one", () => {
  const first = runSeed(7);
  expect(runSeed(7).traceHash).toBe(first.traceHash);
  expect(runSeed(8).traceHash).not.toBe(first.traceHash);
});

test("the runs do something: leaders change, puts are acknowledged or refused, seen, and locks held", () => {
  const runs = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((seed) => runSeed(seed));
  expect(Math.min(...runs.map((run) => run.acknowledged))).toBeGreaterThan(50);
  expect(Math.min(...runs.map((run) => run.watched))).toBeGreaterThan(50);
  expect(runs.reduce((sum, run) => sum + run.refused, 0)).toBeGreaterThan(20);
  expect(Math.min(...runs.map((run) => run.locksTaken))).toBeGreaterThan(20);
  expect(Math.min(...runs.map((run) => run.permitsTaken))).toBeGreaterThan(20);
  expect(runs.reduce((sum, run) => sum + run.takeOvers, 0)).toBeGreaterThan(20);
});

test("with contenders of the Go system both take over from each other, past markers, too", () => {
  const runs = [4, 8, 12, 16, 20, 24, 28, 32].map((seed) => runSeed(seed));
  const sum = (of: (run: (typeof runs)[number]) => number) =>
    runs.reduce((total, run) => total + of(run), 0);
  expect(sum((run) => run.goTakeOvers)).toBeGreaterThan(5);
  expect(sum((run) => run.takeOvers)).toBeGreaterThan(20);
  expect(sum((run) => run.markersOvercome)).toBeGreaterThan(3);
  expect(runSeed(5).goTakeOvers).toBe(0);
});

test("control: without fence and deadline checks the checkers find former leaders that write, two holders of a lock, and more permits than there are", () => {
  const found = [];
  for (let seed = 1; seed <= 40; seed++) {
    found.push(...runSeed(seed, { protections: false }).violations);
  }
  expect(found.filter((violation) => violation.includes("wrote as a former leader"))).not.toEqual(
    [],
  );
  expect(found.filter((violation) => violation.includes("lead at once"))).not.toEqual([]);
  expect(found.filter((violation) => violation.includes("hold short at once"))).not.toEqual([]);
  // Holders that ignore their deadline: more than there are permits.
  expect(found.filter((violation) => violation.includes("hold lengthy at once"))).not.toEqual([]);
}, 120_000);

test("control: without them ours write on when a contender of the Go system has the lock", () => {
  const found = [];
  for (let seed = 4; seed <= 80; seed += 4) {
    found.push(...runSeed(seed, { protections: false }).violations);
  }
  const stale = found.filter((violation) => /wrote as a former leader: 10\.0\.1\./.test(violation));
  expect(stale).not.toEqual([]);
}, 120_000);

/** What the checkers find where the log does less than it should. */
function violationsWith(log: (log: LogStore) => Partial<LogStore>): string[] {
  const careless = (store: LogStore): LogStore => ({
    append: (...call) => store.append(...call),
    read: (...call) => store.read(...call),
    readAfter: (...call) => store.readAfter(...call),
    locate: (...call) => store.locate(...call),
    keys: (...call) => store.keys(...call),
    trim: (...call) => store.trim(...call),
    ...log(store),
  });
  return [1, 2, 3].flatMap((seed) => runSeed(seed, { log: careless }).violations);
}

test("control: where the database checks no condition, two puts follow one version", () => {
  const found = violationsWith((log) => ({
    append: (entries, ...rest) => {
      const free = entries.map(({ key, id, value, leader }) => ({ key, id, value, leader }));
      return log.append(free, ...rest);
    },
  }));
  expect(found.filter((violation) => / follows .*, not /.test(violation))).not.toEqual([]);
});

test("control: watchers whose reads pass a version over, or repeat one, are found", () => {
  const gap = violationsWith((log) => ({
    readAfter: async (...call) => {
      const page = await log.readAfter(...call);
      return page.length > 1 ? page.slice(1) : page;
    },
  }));
  expect(gap.filter((violation) => violation.includes(": it saw id-"))).not.toEqual([]);
  const again = violationsWith((log) => ({
    readAfter: (key, after, ...rest) =>
      log.readAfter(key, after && { ...after, timestamp: after.timestamp - 1_000 }, ...rest),
  }));
  expect(again.filter((violation) => violation.includes(": it saw id-"))).not.toEqual([]);
});

test("control: watchers who stop short of the end are found", () => {
  const asked = new Set<string>();
  const found = violationsWith((log) => ({
    readAfter: async (key, after, ...rest) => {
      // Nothing but the first page of each place.
      const place = `${key} ${after?.id}`;
      if (asked.has(place)) return [];
      asked.add(place);
      return log.readAfter(key, after, ...rest);
    },
  }));
  expect(found.filter((violation) => violation.includes("saw nothing after"))).not.toEqual([]);
});
