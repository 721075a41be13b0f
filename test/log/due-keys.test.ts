import { expect, test } from "bun:test";
import fc from "fast-check";
import { DueKeys } from "../../src/log/due-keys.ts";

test("a key is due once its newest version has been known for the delay, and no sooner", () => {
  const due = new DueKeys(100, 10);
  expect(due.note("a", 5, 0)).toBe(true);
  expect(due.note("b", 6, 50)).toBe(true);
  expect(due.take(99, 10)).toEqual([]);
  expect(due.take(100, 10)).toEqual([{ key: "a", before: 5 }]);
  expect(due.take(150, 10)).toEqual([{ key: "b", before: 6 }]);
  expect(due.take(1_000, 10)).toEqual([]);
});

test("one that is written again meanwhile comes again, for what came meanwhile", () => {
  const due = new DueKeys(100, 10);
  due.note("a", 5, 0);
  due.note("a", 9, 90);
  expect(due.take(100, 10)).toEqual([{ key: "a", before: 5 }]);
  expect(due.take(199, 10)).toEqual([]);
  expect(due.take(200, 10)).toEqual([{ key: "a", before: 9 }]);
  expect(due.take(1_000, 10)).toEqual([]);
});

test("what finds no room is told; what is known needs none", () => {
  const due = new DueKeys(100, 2);
  expect([due.note("a", 1, 0), due.note("b", 1, 0), due.note("c", 1, 0)]).toEqual([
    true,
    true,
    false,
  ]);
  expect(due.note("a", 2, 0)).toBe(true);
  expect(due.room).toBe(0);
  expect(due.take(100, 1)).toEqual([{ key: "a", before: 1 }]);
  due.clear();
  expect([due.room, due.take(500, 10)]).toEqual([2, []]);
});

test("whatever is noted, nothing is given out before its time, and everything in the end", () => {
  const note = fc.record({ key: fc.constantFrom("a", "b", "c"), passMs: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(note, { minLength: 1 }), (notes) => {
      const due = new DueKeys(100, 10);
      const knownAt = new Map<number, number>();
      const newest = new Map<string, number>();
      const cleared = new Map<string, number>();
      let now = 0;
      let timestamp = 0;
      const take = () => {
        for (const { key, before } of due.take(now, 2)) {
          expect(now - (knownAt.get(before) as number)).toBeGreaterThanOrEqual(100);
          cleared.set(key, before);
        }
      };
      for (const { key, passMs } of notes) {
        due.note(key, ++timestamp, now);
        knownAt.set(timestamp, now);
        newest.set(key, timestamp);
        now += passMs;
        take();
      }
      for (let i = 0; i < 10; i++) {
        now += 100;
        take();
      }
      expect(cleared).toEqual(newest);
    }),
  );
});
