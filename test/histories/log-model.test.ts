import { expect, test } from "bun:test";
import type { Operation } from "./linearizable.ts";
import { checkLogHistories, type LogCall } from "./log-model.ts";

const put = (startedAt: number, endedAt: number | null, id: string, more = {}) => {
  return { startedAt, endedAt, call: { kind: "put", id, ...more } as const };
};
const get = (startedAt: number, endedAt: number, ids: readonly string[], count = 1) => {
  return { startedAt, endedAt, call: { kind: "get", ids, count } as const };
};

function violations(final: readonly string[], ...operations: Operation<LogCall>[]): string[] {
  return checkLogHistories(new Map([["key", operations]]), new Map([["key", final]]));
}

test("puts and gets in the order in which they were made", () => {
  const puts = [put(0, 1, "a"), put(2, 3, "b"), put(4, 5, "c")];
  const gets = [get(6, 7, ["c"]), get(6, 7, ["c", "b"], 2), get(6, 7, ["c", "b", "a"], Infinity)];
  expect(violations(["a", "b", "c"], get(-1, 0, []), ...puts, ...gets)).toEqual([]);
  expect(violations(["a", "c", "b"], ...puts)).not.toEqual([]);
});

test("an acknowledged put that is not there", () => {
  expect(violations(["a"], put(0, 1, "a"), put(2, 3, "b"))).toEqual([
    'key is not linearizable: {"kind":"put","id":"b"} fits nowhere, after {"kind":"put","id":"a"}',
  ]);
});

test("a get that misses what was acknowledged before, sees what came later, or skips one", () => {
  expect(violations(["a"], put(0, 1, "a"), get(2, 3, []))).not.toEqual([]);
  expect(violations(["a"], get(0, 1, ["a"]), put(2, 3, "a"))).not.toEqual([]);
  expect(violations(["a", "b"], put(0, 9, "a"), put(0, 9, "b"), get(1, 2, ["b"], 2))).not.toEqual(
    [],
  );
});

test("a put without an answer may be there, from its start on, or not", () => {
  expect(violations([], put(0, null, "a"), get(5, 6, []))).toEqual([]);
  expect(violations(["b", "a"], put(0, null, "a"), put(1, 2, "b"), get(9, 10, ["b"]))).toEqual([]);
  expect(violations(["a", "b"], put(3, null, "a"), put(1, 2, "b"))).not.toEqual([]);
});

test("a condition holds at the moment of the put, and a refusal names what was newest then", () => {
  const first = put(0, 1, "a", { ifVersion: "" });
  expect(violations(["a", "b"], first, put(2, 3, "b", { ifVersion: "a" }))).toEqual([]);
  expect(violations(["a", "b"], first, put(2, 3, "b", { ifVersion: "" }))).not.toEqual([]);
  const refused = (conflictsWith: string) => put(2, 3, "b", { ifVersion: "", conflictsWith });
  expect(violations(["a"], first, refused("a"))).toEqual([]);
  expect(violations(["a"], first, refused(""))).not.toEqual([]);
});

test("the second put of one version is acknowledged, and does nothing", () => {
  expect(violations(["a", "b"], put(0, 1, "a"), put(2, 3, "b"), put(4, 5, "a"))).toEqual([]);
});

test("a history that is not decided is a violation, too", () => {
  const calls = new Map([["key", [put(0, 1, "a"), put(2, 3, "b")]]]);
  expect(checkLogHistories(calls, new Map([["key", ["a", "b"]]]), 1)).toEqual([
    "key: not decided in 1 steps whether it is linearizable",
  ]);
});
