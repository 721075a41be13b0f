import { expect, test } from "bun:test";
import { type Claim, overAdmissions } from "./claims.ts";

const claim = (from: number, until: number, name = "a", limit = 1): Claim => {
  return { name, limit, from, until };
};

test("as many as may hold are no violation, nor one who begins when another ends", () => {
  expect(overAdmissions([claim(0, 5), claim(5, 9), claim(0, 9, "b"), claim(3, 3)])).toEqual([]);
  expect(overAdmissions([claim(0, 5, "a", 2), claim(1, 9, "a", 2), claim(5, 7, "a", 2)])).toEqual(
    [],
  );
});

test("one more is, whoever began first", () => {
  expect(overAdmissions([claim(4, 6), claim(0, 5)])).toEqual(["2 hold a of 1 at 4.0 ms"]);
  const two = [claim(0, 9, "a", 2), claim(1, 9, "a", 2), claim(2, 3, "a", 2)];
  expect(overAdmissions(two)).toEqual(["3 hold a of 2 at 2.0 ms"]);
});
