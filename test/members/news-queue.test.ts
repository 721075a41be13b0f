import { expect, test } from "bun:test";
import fc from "fast-check";
import { NewsQueue } from "../../src/members/news-queue.ts";

test("the newest come first, and those told least often before others", () => {
  const queue = new NewsQueue();
  for (const name of ["a", "b", "c"]) queue.add(name);
  expect(queue.take(2, 3)).toEqual(["c", "b"]);
  queue.add("d");
  expect(queue.peek(9)).toEqual(["d", "a", "c", "b"]);
  expect(queue.take(3, 3)).toEqual(["d", "a", "c"]);
  expect(queue.take(9, 3)).toEqual(["d", "a", "b", "c"]);
});

test("what was told often enough is forgotten, and begins anew when there is more of it", () => {
  const queue = new NewsQueue();
  queue.add("a");
  queue.take(1, 2);
  queue.add("a");
  expect([queue.take(9, 2), queue.take(9, 2), queue.take(9, 2)]).toEqual([["a"], ["a"], []]);
  expect([queue.size, queue.has("a")]).toEqual([0, false]);
});

test("no name is on a message twice, and each is told exactly as often as the limit says", () => {
  const names = fc.array(fc.constantFrom("a", "b", "c", "d", "e"), { maxLength: 400 });
  fc.assert(
    fc.property(names, fc.integer({ min: 1, max: 5 }), (added, limit) => {
      const queue = new NewsQueue();
      for (const name of added) queue.add(name);
      const told = new Map<string, number>();
      for (let i = 0; i < 5 * limit; i++) {
        const taken = queue.take(3, limit);
        expect(new Set(taken).size).toBe(taken.length);
        for (const name of taken) told.set(name, (told.get(name) ?? 0) + 1);
      }
      expect(queue.size).toBe(0);
      expect([...told.values()].every((times) => times === limit)).toBe(true);
      expect(told.size).toBe(new Set(added).size);
    }),
  );
});
