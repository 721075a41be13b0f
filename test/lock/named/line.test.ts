import { expect, test } from "bun:test";
import { Line } from "../../../src/lock/named/line.ts";

const place = (contender: string, since: number) => ({ contender, member: "10.0.0.1:1", since });

function lineOf(...contenders: string[]): Line {
  const line = new Line();
  for (const [i, contender] of contenders.entries()) line.enter(place(contender, i), i);
  return line;
}

test("places are in the order of their arrival, however late they are heard of", () => {
  const line = new Line();
  expect(line.enter(place("second", 20), 20)).toBe(0);
  expect(line.enter(place("third", 30), 30)).toBe(1);
  expect(line.enter(place("first", 10), 40)).toBe(0);
  expect(line.enter(place("second", 99), 50)).toBe(1);
  expect(line.enter(place("as old as the third", 30), 60)).toBe(3);
  expect(line.length).toBe(4);
});

test("a release gives the turn to one after the other, until somebody takes the lock", () => {
  const line = lineOf("a", "b", "c");
  expect(line.next()).toBeNull();
  expect(line.release(7, "")).toBe("untold");
  expect(line.next()?.contender).toBe("a");
  expect(line.next()?.contender).toBe("b");
  line.take(8, "10.0.0.9:1");
  expect(line.next()).toBeNull();
  // The next release begins at the front again.
  expect(line.release(8, "")).toBe("untold");
  expect(line.next()?.contender).toBe("a");
});

test("when all have been told, nobody is left to tell", () => {
  const line = lineOf("a");
  line.release(7, "");
  expect(line.next()?.contender).toBe("a");
  expect(line.next()).toBeNull();
  expect(line.freed).toBeNull();
});

test("one that was told and asks again says that the lock is not free", () => {
  const line = lineOf("a", "b");
  line.release(7, "");
  line.next();
  expect(line.enter(place("b", 1), 5)).toBe(1);
  expect(line.freed).toBe(7);
  expect(line.enter(place("a", 0), 6)).toBe(0);
  expect(line.freed).toBeNull();
});

test("news that come twice, late or out of order change nothing", () => {
  const line = lineOf("a", "b");
  expect(line.release(7, "")).toBe("untold");
  expect(line.release(7, "")).toBe("known");
  line.next();
  // The release under token 8 is heard of before its taking.
  expect(line.release(8, "")).toBe("untold");
  line.take(8, "10.0.0.9:1");
  expect(line.freed).toBe(8);
  line.take(9, "10.0.0.9:1");
  expect(line.release(8, "")).toBe("known");
  expect(line.freed).toBeNull();
});

test("leaving tells whether it was one's turn", () => {
  const line = lineOf("a", "b");
  line.release(7, "");
  line.next();
  expect([line.leave("a"), line.leave("b"), line.leave("a")]).toEqual([
    "told",
    "waiting",
    "absent",
  ]);
  expect(line.length).toBe(0);
});

test("who does not ask again is forgotten", () => {
  const line = lineOf("a", "b", "c");
  line.enter(place("b", 1), 1_000);
  expect(line.forget(500)).toBe(2);
  expect(line.enter(place("b", 1), 1_001)).toBe(0);
});
