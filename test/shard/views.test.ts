import { describe, expect, test } from "bun:test";
import { ring, maglev, multiprobe, rendezvous, ringHash } from "../../src/shard/algorithms.ts";
import { ShardError, type ShardErrorCode } from "../../src/shard/errors.ts";
import type { ShardNode } from "../../src/shard/node.ts";
import { ALL, keys, numbered, participant, participants } from "./kit.ts";

/** The code and the message of the ShardError that it throws. */
function refusal(action: () => unknown): [ShardErrorCode, string] {
  try {
    action();
  } catch (error) {
    if (error instanceof ShardError) return [error.code, error.message];
    throw error;
  }
  throw new Error("nothing was thrown");
}

const viewer: ShardNode = { name: "viewer", state: "viewer" };
const staying = participant("staying");
const going: ShardNode = { name: "going", state: "terminating" };

describe.each(ALL.map(({ name, usual }) => [name, usual] as const))("%s", (_, make) => {
  test("reads count participants and terminating nodes, writes participants alone", () => {
    const sharder = make();
    sharder.update([viewer, staying, going]);
    expect([sharder.size("read"), sharder.size("readWrite")]).toEqual([2, 1]);
    for (const key of keys(50)) expect(sharder.owner(key)).toBe(staying);
    const read = new Set(keys(50).map((key) => sharder.owner(key, "read")));
    expect(read).toEqual(new Set([staying, going]));
    sharder.update([viewer, going]);
    expect(sharder.owner("key", "read")).toBe(going);
    expect(refusal(() => sharder.owner("key", "readWrite"))[0]).toBe("not_enough_nodes");
  });

  test("without nodes there is no owner, and the error says how many are missing", () => {
    const sharder = make();
    const none: [ShardErrorCode, string] = [
      "not_enough_nodes",
      "not enough nodes: need at least 1, have 0",
    ];
    expect(refusal(() => sharder.owner("key"))).toEqual(none);
    expect(refusal(() => sharder.lookup("key", 1, "read"))).toEqual(none);
    expect(sharder.lookup("key", 0)).toEqual([]);
    sharder.update(participants("a", "b"));
    expect(refusal(() => sharder.lookup("key", 3))[1]).toBe(
      "not enough nodes: need at least 3, have 2",
    );
    sharder.update([participant("a", 0)]);
    expect(refusal(() => sharder.owner("key"))).toEqual(none);
    sharder.update([]);
    expect(refusal(() => sharder.owner("key", "read"))).toEqual(none);
  });

  test("one node owns every key", () => {
    const sharder = make();
    sharder.update([staying]);
    for (const key of ["", ...keys(50)]) expect(sharder.lookup(key, 1)).toEqual([staying]);
  });

  test("all nodes in turn are owners, each once, also where there are many", () => {
    const sharder = make();
    const nodes = numbered(300);
    sharder.update(nodes);
    for (const key of keys(5)) {
      const owners = sharder.lookup(key, 300);
      expect(owners[0]).toBe(sharder.owner(key));
      expect(new Set(owners)).toEqual(new Set(nodes));
    }
  });

  test("owners go into the array that is given, which then has no others", () => {
    const sharder = make();
    sharder.update(numbered(5));
    const into = numbered(5);
    const owners = sharder.lookup("key", 2, "readWrite", into);
    expect(owners).toBe(into);
    expect(owners).toEqual(sharder.lookup("key", 2));
  });

  test("lookups give the objects of the last update, also when only these changed", () => {
    const sharder = make();
    sharder.update(numbered(5));
    const before = sharder.owner("key");
    const told = numbered(5);
    sharder.update([...told, viewer]);
    expect(sharder.owner("key")).not.toBe(before);
    expect(sharder.owner("key")).toBe(told.find(({ name }) => name === before.name) as ShardNode);
  });

  test("what cannot be is refused by its code, and the sharder stays as it was", () => {
    const sharder = make();
    sharder.update(numbered(5));
    const before = keys(50).map((key) => sharder.owner(key));
    const refused = (...nodes: ShardNode[]) => refusal(() => sharder.update(nodes))[0];
    expect(refused(participant("a"), viewer, participant("a"))).toBe("duplicate_node");
    expect(refused(participant("a"), { ...viewer, name: "a" })).toBe("duplicate_node");
    for (const name of ["", "\ud800", "n".repeat(4_097), "ü".repeat(2_049)]) {
      expect(refused(participant(name))).toBe("invalid_node");
    }
    for (const weight of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(refused(participant("a", weight))).toBe("invalid_node");
    }
    expect(refused(participant("a", 2 ** 32))).toBe("too_large");
    expect(refused(...numbered(65_536))).toBe("too_large");
    for (const count of [-1, 1.5, Number.NaN]) {
      expect(refusal(() => sharder.lookup("key", count))[0]).toBe("invalid_option");
    }
    expect(keys(50).map((key) => sharder.owner(key))).toEqual(before);
  });
});

test("two nodes of one hash key are refused where it is what is hashed", () => {
  const nodes = participants("a", "b").map((node) => ({ ...node, hashKey: "10.0.0.1:80" }));
  for (const sharder of [maglev(), ringHash()]) {
    expect(refusal(() => sharder.update(nodes))[0]).toBe("duplicate_node");
  }
  const sharder = ring();
  sharder.update(nodes);
  expect(sharder.size()).toBe(2);
});

test("more tokens or points than are held are refused before they are made", () => {
  const heavy = (weight: number) => [participant("a", weight)];
  for (const sharder of [ring(512), rendezvous(), multiprobe()]) {
    expect(refusal(() => sharder.update(heavy(2 ** 32 - 1)))[0]).toBe("too_large");
    expect(refusal(() => sharder.update(heavy(40_000)))[0]).toBe("too_large");
  }
  const many = ring(32_000);
  expect(refusal(() => many.update(numbered(530)))[0]).toBe("too_large");
  expect(refusal(() => maglev({ tableSize: 7 }).update(numbered(8)))[0]).toBe("too_large");
});

test("options out of range are refused", () => {
  const makers = [
    () => ring(0),
    () => ring(1.5),
    () => ring(32_768),
    () => maglev({ tableSize: 65_536 }),
    () => maglev({ tableSize: 1 }),
    () => maglev({ tableSize: 5_000_023 }),
    () => ringHash({ minRingSize: 0 }),
    () => ringHash({ minRingSize: 2_000, maxRingSize: 1_000 }),
    () => ringHash({ maxRingSize: 8_388_609 }),
  ];
  for (const make of makers) expect(refusal(make)[0]).toBe("invalid_option");
  expect(maglev({ tableSize: 5_000_011 }).size()).toBe(0);
});
