import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  fromWire,
  Liveness,
  MAX_VERSION,
  type MemberRecord,
  PeerState,
  toWire,
} from "../../src/members/member.ts";
import { MemberTable } from "../../src/members/table.ts";
import { FAST_PROFILE, suspicionMs } from "../../src/members/timing.ts";

function record(name: string, change: Partial<MemberRecord> = {}): MemberRecord {
  return {
    name,
    address: `${name}:1`,
    incarnation: 1_000,
    version: 0,
    liveness: Liveness.ALIVE,
    state: PeerState.PARTICIPANT,
    ...change,
  };
}

const tableOf = (name = "self") => new MemberTable(record(name), FAST_PROFILE, 0);
const names = (table: MemberTable) => table.present().map((member) => member.name);

test("M2: a suspect counts until its time is over, and its refutation saves it", () => {
  const table = tableOf();
  table.hear(record("b"), 0);
  table.suspect("b", ["self"], 100);
  expect(names(table)).toEqual(["b", "self"]);
  table.hear(record("b", { version: 1 }), 200);
  table.expire(100 + suspicionMs(FAST_PROFILE, 2, 1));
  expect(table.find("b")?.liveness).toBe(Liveness.ALIVE);
});

test("a suspect that says nothing is dead, and forgotten in the end", () => {
  const table = tableOf();
  table.hear(record("b"), 0);
  table.suspect("b", ["self"], 100);
  const deadAt = 100 + suspicionMs(FAST_PROFILE, 2, 1);
  expect(table.nextDeath()).toBe(deadAt);
  table.expire(deadAt - 1);
  expect(names(table)).toEqual(["b", "self"]);
  table.expire(deadAt);
  expect(names(table)).toEqual(["self"]);
  const forgottenAt = deadAt + FAST_PROFILE.tombstoneMs;
  expect(table.lost(forgottenAt - 1).map(({ name }) => name)).toEqual(["b"]);
  expect(table.lost(forgottenAt)).toEqual([]);
  expect(table.find("b")).toBeUndefined();
});

test("this node refutes what is said of it: suspicion, death, another state", () => {
  for (const said of [
    record("self", { liveness: Liveness.SUSPECT }),
    record("self", { liveness: Liveness.DEAD, version: 5 }),
    record("self", { state: PeerState.TERMINATING }),
  ]) {
    const table = tableOf();
    expect(table.hear(said, 10)).toBe(true);
    expect(table.self).toMatchObject({ liveness: Liveness.ALIVE, state: PeerState.PARTICIPANT });
    expect(table.self.version).toBeGreaterThan(said.version);
    expect(table.news(10)).toContainEqual(table.self);
  }
});

test("of a forged last version of itself it makes a new incarnation, which others take", () => {
  const table = tableOf();
  expect(table.hear(record("self", { version: MAX_VERSION }), 10)).toBe(true);
  expect(table.self).toMatchObject({ incarnation: 1_001, liveness: Liveness.ALIVE });
  expect(fromWire(toWire(table.self))).toEqual(table.self);
});

test("M3: a new start under the same address wins, and both its leaving and its coming are told", () => {
  const table = tableOf();
  table.hear(record("b"), 0);
  table.takeChange();
  table.hear(record("b", { incarnation: 2_000 }), 10);
  const change = table.takeChange();
  expect(change?.left).toEqual([record("b")]);
  expect(change?.joined).toEqual([record("b", { incarnation: 2_000 })]);
  expect(table.hear(record("b", { liveness: Liveness.DEAD, version: 9 }), 20)).toBe(false);
  expect(names(table)).toEqual(["b", "self"]);
});

test("M3: a node that finds its ghost under a clock that was ahead outbids it", () => {
  const table = tableOf();
  table.hear(record("self", { incarnation: 5_000 }), 10);
  expect(table.self.incarnation).toBe(5_001);
});

test("M5: a stale list removes nobody who joined meanwhile, and brings nobody back", () => {
  const table = tableOf();
  const stale = [record("b"), record("c")];
  table.hear(record("d"), 0);
  table.hear(record("b", { liveness: Liveness.LEFT, version: 1 }), 0);
  for (const said of [record("b"), ...stale]) table.hear(said, 10);
  table.hear(record("b", { liveness: Liveness.LEFT, version: 1 }), 20);
  expect(names(table)).toContain("d");
  table.suspect("c", ["self"], 25);
  table.hear(record("c", { liveness: Liveness.DEAD }), 25 + suspicionMs(FAST_PROFILE, 4, 3));
  table.hear(record("c"), 10_000);
  expect(names(table)).not.toContain("c");
});

test("the gone are as late as the latest that was said of them, and are forgotten, however they went", () => {
  for (const liveness of [Liveness.DEAD, Liveness.LEFT]) {
    const table = tableOf();
    table.hear(record("b"), 0);
    table.hear(record("b", { version: 1, liveness: Liveness.LEFT }), 1);
    table.hear(record("b", { incarnation: 1_010, liveness }), 2);
    // From between the two: it would bring back who is known to be gone.
    expect(table.hear(record("b", { incarnation: 1_002 }), 3)).toBe(false);
    expect(names(table)).toEqual(["self"]);
    table.lost(2 + FAST_PROFILE.tombstoneMs);
    expect(table.find("b")).toBeUndefined();
  }
});

test("M6: whoever joins and leaves between two looks is reported as both", () => {
  const table = tableOf();
  table.takeChange();
  table.hear(record("b"), 0);
  table.hear(record("b", { liveness: Liveness.LEFT, version: 1 }), 1);
  const change = table.takeChange();
  expect(change?.joined.map(({ name }) => name)).toEqual(["b"]);
  expect(change?.left.map(({ name }) => name)).toEqual(["b"]);
});

test("who comes to be suspect, and is no longer, is told as nothing but that", () => {
  const table = tableOf();
  table.hear(record("b"), 0);
  table.takeChange();
  const doubt = { joined: [], left: [], vacated: [], onlyDoubt: true };
  table.suspect("b", ["self"], 1);
  expect(table.takeChange()).toEqual(doubt);
  table.hear(record("b", { version: 1 }), 2);
  expect(table.takeChange()).toEqual(doubt);
  table.hear(record("b", { version: 2 }), 3);
  expect(table.takeChange()).toBeNull();
  table.suspect("b", ["self"], 4);
  table.hear(record("c"), 5);
  expect(table.takeChange()).toMatchObject({ joined: [record("c")], onlyDoubt: false });
});

test("an address is vacated when its process has gone, not when its ghost is found to be gone", () => {
  const table = tableOf();
  table.takeChange();
  const address = "10.0.0.9:8080";
  const vacated = (name: string, change: Partial<MemberRecord>) => {
    table.hear(record(name, { address, ...change }), 0);
    return table.takeChange()?.vacated;
  };
  const gone = { liveness: Liveness.LEFT, version: 1 };
  expect(vacated("pod-a", { incarnation: 1_000 })).toEqual([]);
  expect(vacated("pod-a", { incarnation: 2_000 })).toEqual([address]);
  expect(vacated("pod-b", { incarnation: 3_000 })).toEqual([address]);
  expect(vacated("pod-a", { incarnation: 2_000, ...gone })).toEqual([]);
  expect(vacated("pod-0", { incarnation: 1_000 })).toEqual([]); // a ghost that was heard of late
  expect(vacated("pod-0", { incarnation: 1_000, ...gone })).toEqual([]);
  expect(vacated("pod-b", { incarnation: 3_000, ...gone })).toEqual([address]);
});

test("states go viewer, participant, terminating, and no other way: the error names both", () => {
  const table = new MemberTable(record("self", { state: PeerState.VIEWER }), FAST_PROFILE, 0);
  expect(() => table.become(PeerState.TERMINATING, 0)).toThrow(/VIEWER.*TERMINATING/);
  table.become(PeerState.PARTICIPANT, 0);
  table.become(PeerState.TERMINATING, 0);
  expect(() => table.become(PeerState.PARTICIPANT, 0)).toThrow(/TERMINATING.*PARTICIPANT/);
});

test("statements heard in any order, any number of times, give one view", () => {
  const statement = fc.record({
    name: fc.constantFrom("b", "c"),
    incarnation: fc.integer({ min: 1, max: 3 }),
    version: fc.integer({ min: 0, max: 3 }),
    liveness: fc.constantFrom(Liveness.ALIVE, Liveness.SUSPECT),
  });
  const viewOf = (said: MemberRecord[]) => {
    const table = tableOf();
    for (const one of said) table.hear(one, 0);
    return table.all().sort((a, b) => (a.name < b.name ? -1 : 1));
  };
  fc.assert(
    fc.property(fc.array(statement), fc.integer(), (statements, seed) => {
      const said = statements.map((one) => record(one.name, one));
      const shuffled = [...said, ...said].sort((a, b) => hash(a, seed) - hash(b, seed));
      expect(viewOf(shuffled)).toEqual(viewOf(said));
    }),
  );
});

function hash(member: MemberRecord, seed: number): number {
  return Number(Bun.hash(JSON.stringify(member), seed) & 0xffffn);
}
