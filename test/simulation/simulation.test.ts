import { expect, test } from "bun:test";
import { FAULT_KINDS } from "./world/faults.ts";
import { runSeed } from "./world/run-seed.ts";

const SEEDS = 200;

test(`${SEEDS} seeds of 5 nodes: safe under faults, whole again after them`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = runSeed(seed);
    if (violations.length > 0) {
      throw new Error(
        `bun run sim --seed ${seed} --seconds 30\n${violations.slice(0, 10).join("\n")}`,
      );
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
  expect(Math.min(...runs.map((run) => run.gets))).toBeGreaterThan(10);
  expect(runs.reduce((sum, run) => sum + run.unknown, 0)).toBeGreaterThan(20);
  expect(runs.reduce((sum, run) => sum + run.takeOvers, 0)).toBeGreaterThan(20);
  const seen = new Set(runs.flatMap((run) => [...run.faults.keys()]));
  expect(FAULT_KINDS.filter((kind) => !seen.has(kind))).toEqual([]);
}, 60_000);

test("with contenders of the Go system both take over from each other, past markers, too", () => {
  const runs = Array.from({ length: 20 }, (_, i) => runSeed(4 * i + 4));
  const sum = (of: (run: (typeof runs)[number]) => number) =>
    runs.reduce((total, run) => total + of(run), 0);
  expect(sum((run) => run.goTakeOvers)).toBeGreaterThan(5);
  expect(sum((run) => run.takeOvers)).toBeGreaterThan(20);
  expect(sum((run) => run.markersOvercome)).toBeGreaterThan(3);
  expect(runSeed(5).goTakeOvers).toBe(0);
}, 60_000);
