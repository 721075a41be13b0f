import { expect, test } from "bun:test";
import type { NewEntry } from "../../src/store/ports.ts";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { SpannerLogStore } from "../../src/store/spanner/log.ts";
import { entry } from "../contract/world.ts";
import { type Call, COMMIT_MICROS, FakeWorld, type Script } from "./spanner-fake.ts";

const LEADER = { name: "leader", token: 1_767_323_045_678_901 };
const THEIRS = { name: "theirs", token: 1_767_323_045_000_001 };
const TIMES: Readonly<Record<string, string>> = {
  leader: "2026-01-02T03:04:05.678901Z",
  theirs: "2026-01-02T03:04:05.000001Z",
};
const WRITTEN = { kind: "written", timestamp: COMMIT_MICROS } as const;

const cells = (...texts: (string | null)[]) =>
  texts.map((stringValue) => (stringValue === null ? {} : { stringValue }));
const metadata = { transaction: { id: new Uint8Array([7]) } };

/** Locks with their tokens; of each key the newest version, and what is stored under the ids asked for. */
class ConditionalWorld extends FakeWorld {
  readonly log = new SpannerLogStore(this.connection, "locktable", "logtable");
  newest: Readonly<Record<string, string>> = {};
  stored: string[] = [];

  constructor() {
    super();
    this.spanner.onCall = (call) => this.#answer(call);
  }

  /** The calls that a transaction made, after its session. */
  get trips(): string[] {
    return this.spanner.calls.map(({ method }) => method).filter((name) => !/Session/.test(name));
  }

  append(...entries: NewEntry[]) {
    return this.log.append(entries, LEADER);
  }

  #answer({ method, request }: Call): Script | undefined {
    if (method === "read") {
      const names = request.keySet.keys.map((key: { values: { stringValue: string }[] }) =>
        String(key.values[0]?.stringValue),
      );
      const rows = names.map((name: string) => ({
        values: names.length === 1 ? cells(TIMES[name] ?? "") : cells(name, TIMES[name] ?? null),
      }));
      return { answer: { metadata, rows } };
    }
    if (method === "executeSql") {
      const { values } = request.params.fields.keys.listValue;
      const rows = values.map(({ stringValue: key }: { stringValue: string }) => ({
        values: cells(key, this.newest[key] ?? null),
      }));
      return { answer: { metadata, rows } };
    }
    if (method !== "streamingRead") return undefined;
    const rowType = { fields: [{}, {}, {}] };
    const values = this.stored.flatMap((key) => cells(key, "v", "2026-01-01T00:00:00.000007Z"));
    return { answer: { metadata: { ...metadata, rowType }, values } };
  }
}

test("without conditions: the token, and the commit", async () => {
  const world = new ConditionalWorld();
  expect(await world.append(entry("a", "1", "v"), entry("b", "1", "v"))).toEqual([
    WRITTEN,
    WRITTEN,
  ]);
  expect(world.trips).toEqual(["read", "commit"]);
});

test("a foreign claim comes with the leader's token, in the same trip", async () => {
  const world = new ConditionalWorld();
  const claimed = { ...entry("a", "1", "v"), fence: THEIRS };
  expect(await world.append(claimed, entry("b", "1", "v"))).toEqual([WRITTEN, WRITTEN]);
  expect(world.trips).toEqual(["read", "commit"]);
  expect(world.spanner.last("read").request.columns).toEqual(["name", "token"]);
});

test("newest versions take one query, for all keys that ask for them and for no others", async () => {
  const world = new ConditionalWorld();
  world.newest = { a: "0", b: "" };
  const outcomes = await world.append(
    { ...entry("a", "1", "v"), ifVersion: "0" },
    { ...entry("b", "1", "v"), ifVersion: "" },
    entry("c", "1", "v"),
  );
  expect(outcomes).toEqual([WRITTEN, WRITTEN, WRITTEN]);
  expect(world.trips).toEqual(["read", "executeSql", "commit"]);
  const { keys } = world.spanner.last("executeSql").request.params.fields;
  expect(keys.listValue.values).toEqual(cells("a", "b"));
});

test("of those that are refused it is looked whether they are there, and the others are written", async () => {
  const world = new ConditionalWorld();
  world.newest = { a: "9", b: "9" };
  world.stored = ["b"];
  const stale = { ...THEIRS, token: 1 };
  const outcomes = await world.append(
    { ...entry("a", "1", "v"), ifVersion: "0" },
    { ...entry("b", "1", "v"), ifVersion: "0" },
    { ...entry("c", "1", "v"), fence: stale },
    entry("d", "1", "v"),
  );
  expect(outcomes).toEqual([
    { kind: "other-version", current: "9" },
    { kind: "written", timestamp: 1_767_225_600_000_007 },
    { kind: "fenced" },
    WRITTEN,
  ]);
  expect(world.trips).toEqual(["read", "executeSql", "streamingRead", "commit"]);
  const asked = world.spanner.last("streamingRead").request.keySet.keys;
  expect(asked.map((key: { values: object[] }) => key.values[0])).toEqual(cells("a", "b", "c"));
  const [{ insert }] = world.spanner.last("commit").request.mutations;
  expect(insert.values.map((row: { values: object[] }) => row.values[0])).toEqual(cells("d"));
});

test("where all are refused nothing is committed", async () => {
  const world = new ConditionalWorld();
  world.newest = { a: "9" };
  const outcomes = await world.append({ ...entry("a", "1", "v"), ifVersion: "" });
  expect(outcomes).toEqual([{ kind: "other-version", current: "9" }]);
  expect(world.trips).toEqual(["read", "executeSql", "streamingRead", "rollback"]);
});

test("an id that is there while its condition is met is found by the commit, and acknowledged", async () => {
  const world = new ConditionalWorld();
  world.newest = { a: "1" };
  world.stored = ["a"];
  world.spanner.next("commit", { code: Grpc.ALREADY_EXISTS });
  const outcomes = await world.append({ ...entry("a", "1", "v"), ifVersion: "1" });
  expect(outcomes).toEqual([{ kind: "written", timestamp: 1_767_225_600_000_007 }]);
  const first = ["read", "executeSql", "commit"];
  expect(world.trips).toEqual([...first, "read", "executeSql", "streamingRead", "rollback"]);
});

test("a direct write on conditions is one transaction, one without is one trip", async () => {
  const world = new ConditionalWorld();
  const conditional = { ...entry("a", "1", "v"), ifVersion: "" };
  expect(await world.log.append([conditional], null)).toEqual([WRITTEN]);
  expect(world.trips).toEqual(["executeSql", "commit"]);
  const { transaction } = world.spanner.last("executeSql").request;
  expect(transaction).toEqual({ begin: { readWrite: {} } });
  expect(await world.log.append([entry("a", "2", "v")], null)).toEqual([WRITTEN]);
  expect(world.trips).toEqual(["executeSql", "commit", "commit"]);
});

test("old versions are looked for outside of the transaction that removes them", async () => {
  const world = new ConditionalWorld();
  world.spanner.onCall = ({ method }) => {
    if (method !== "executeStreamingSql") return undefined;
    const rowType = { fields: [{}, {}] };
    return { answer: { metadata: { rowType }, values: cells("a", "1", "a", "2") } };
  };
  const removed = await world.log.trim([{ key: "a", before: 1_000 }], 1, 10, LEADER);
  expect(removed).toBe(2);
  expect(world.trips).toEqual(["executeStreamingSql", "read", "commit"]);
  expect(world.spanner.last("executeStreamingSql").request.transaction).toBeUndefined();
  const [{ delete: deleted }] = world.spanner.last("commit").request.mutations;
  expect(deleted.keySet.keys).toEqual([{ values: cells("a", "1") }, { values: cells("a", "2") }]);
});
