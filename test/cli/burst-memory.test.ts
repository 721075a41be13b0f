import { expect, test } from "bun:test";
import { giveBackAfterBursts, isLeftOver } from "../../src/cli/burst-memory.ts";
import type { Clock } from "../../src/runtime/runtime.ts";

const MB = 1024 * 1024;
const at = (seconds: number, residentMB: number, cpuMs: number) => ({
  atMs: seconds * 1e3,
  residentBytes: residentMB * MB,
  cpuMicros: cpuMs * 1e3,
});

test.each([
  ["grown and quiet", at(2, 300, 100), true],
  ["grown and busy", at(2, 300, 300), false],
  ["quiet, but hardly grown", at(2, 120, 0), false],
])("%s", (_, now, expected) => {
  expect(isLeftOver(at(0, 60, 0), now, 60 * MB)).toBe(expected);
});

/** Looks as often as it is told to, at what it is told to see. */
function looking() {
  let nowMs = 0;
  let cpuMicros = 0;
  let residentMB = 60;
  let due: (() => void) | null = null;
  let given = 0;
  const clock: Clock = {
    now: () => nowMs,
    wallMicros: () => 0,
    bootId: "",
    schedule(ms, run) {
      due = () => {
        nowMs += ms;
        run();
      };
      return {
        cancel() {
          due = null;
        },
      };
    },
  };
  const burden = () => ({ residentBytes: residentMB * MB, cpuMicros });
  const looks = giveBackAfterBursts(clock, burden, () => given++);
  return {
    looks,
    given: () => given,
    isOver: () => due === null,
    look(mb: number, cpuMs: number) {
      residentMB = mb;
      cpuMicros += cpuMs * 1e3;
      due?.();
    },
  };
}

test("after a burst it is given back once, in the first quiet time", () => {
  const { look, given } = looking();
  look(400, 1_900);
  look(500, 1_500);
  expect(given()).toBe(0);
  look(500, 20);
  expect(given()).toBe(1);
  look(80, 100);
  look(80, 10);
  expect(given()).toBe(1);
  look(400, 1_900);
  look(400, 10);
  expect(given()).toBe(2);
});

test("what is in use is asked for once, not again and again", () => {
  const { look, given } = looking();
  look(500, 10);
  for (let i = 0; i < 10; i++) look(490, 10);
  expect(given()).toBe(1);
  look(600, 10);
  expect(given()).toBe(2);
});

test("ends when it is told to", () => {
  const { looks, look, isOver } = looking();
  look(60, 0);
  looks.cancel();
  expect(isOver()).toBe(true);
});
