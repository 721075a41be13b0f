import { describe, expect, test } from "bun:test";
import { NO_APPEND_ID } from "../../src/store/ports.ts";
import { Grpc } from "../../src/store/spanner/errors.ts";
import { SpannerLockStore } from "../../src/store/spanner/lock.ts";
import { SpannerLogStore } from "../../src/store/spanner/log.ts";
import { key as keyOf, oneKey } from "../../src/store/spanner/values.ts";
import { expectCode } from "../contract/errors.ts";
import { entry } from "../contract/world.ts";
import { COMMIT_MICROS, FakeWorld, outcome } from "./spanner-fake.ts";

const FENCE = { name: "leader", token: 1_767_323_045_678_901 };
const FOREIGN = { values: [{ stringValue: "2026-02-02T03:04:05.678901Z" }] };

class LogWorld extends FakeWorld {
  readonly log = new SpannerLogStore(this.connection, "locktable", "logtable");
  readonly lock = new SpannerLockStore(this.connection, "locktable");

  /** Each read: its table, keys and columns. */
  get reads() {
    return [...this.spanner.of("read"), ...this.spanner.of("streamingRead")].map(
      ({ request: { table, keySet, columns } }) => ({ table, keySet, columns }),
    );
  }

  /** Keys of the rows that the last commit writes, by what it does with them. */
  get written() {
    const { mutations } = this.spanner.last("commit").request;
    return mutations.map((mutation: Record<string, { values: { values: object[] }[] }>) =>
      Object.entries(mutation).map(([kind, { values }]) => [
        kind,
        values.map((row) => row.values[0]),
      ]),
    );
  }
}

const TOKEN_READ = { table: "locktable", keySet: oneKey(FENCE.name), columns: ["token"] };

describe("a fenced append", () => {
  test("reads the lock's token, nothing else, and commits in the same transaction", async () => {
    const world = new LogWorld();
    const outcomes = await world.log.append([entry("k", "1", "v")], FENCE);
    expect(outcomes).toEqual([{ kind: "written", timestamp: COMMIT_MICROS }]);
    expect(world.reads).toEqual([TOKEN_READ]);
    const [read, commit] = world.spanner.calls.slice(-2);
    expect([read?.method, commit?.method]).toEqual(["read", "commit"]);
    expect(read?.request.transaction).toEqual({ begin: { readWrite: {} } });
    expect(commit?.request.transactionId).toEqual(new Uint8Array([2]));
    expect(commit?.request.session).toBe(read?.request.session);
    expect(world.written).toEqual([[["insert", [{ stringValue: "k" }]]]]);
  });

  test.each([FOREIGN, { values: [{ nullValue: "NULL_VALUE" }] }, null])(
    "writes nothing under another token: %p",
    async (row) => {
      const world = new LogWorld();
      const metadata = { transaction: { id: new Uint8Array([7]) } };
      world.spanner.next("read", { answer: { metadata, rows: row === null ? [] : [row] } });
      await expectCode(world.log.append([entry("k", "1", "v")], FENCE), "fenced");
      expect(world.spanner.of("commit")).toEqual([]);
    },
  );
});

describe("an append of which something is there already", () => {
  const there = (key: string) =>
    [key, "v", "2026-01-01T00:00:00.000007Z"].map((stringValue) => ({ stringValue }));
  const stored = (...keys: string[]) => ({
    answer: {
      metadata: { rowType: { fields: [{}, {}, {}] }, transaction: { id: new Uint8Array([8]) } },
      values: keys.flatMap(there),
    },
  });
  const entries = [entry("a", "1", "v"), entry("b", "1", "v"), entry("c", NO_APPEND_ID, "v")];

  test.each([FENCE, null])(
    "writes what is not, and acknowledges what is: fence %p",
    async (fence) => {
      const world = new LogWorld();
      world.spanner.next("commit", { code: Grpc.ALREADY_EXISTS });
      world.spanner.next("streamingRead", stored("a"));
      expect(await world.log.append(entries, fence)).toEqual([
        { kind: "written", timestamp: 1_767_225_600_000_007 },
        { kind: "written", timestamp: COMMIT_MICROS },
        { kind: "written", timestamp: COMMIT_MICROS },
      ]);
      expect(world.written).toEqual([
        [["insert", [{ stringValue: "b" }]]],
        [["insertOrUpdate", [{ stringValue: "c" }]]],
      ]);
      const token = fence === null ? [] : [TOKEN_READ, TOKEN_READ];
      const keys = [keyOf("a", "1"), keyOf("b", "1")];
      const rows = { table: "logtable", keySet: { keys }, columns: ["key", "value", "timestamp"] };
      expect(world.reads).toEqual([...token, rows]);
    },
  );

  test("is fenced again, and writes nothing once the lock was taken over", async () => {
    const world = new LogWorld();
    world.spanner.next("commit", { code: Grpc.ALREADY_EXISTS });
    world.spanner.onCall = ({ method }) => {
      const foreign = method === "read" && world.spanner.of("read").length > 1;
      const metadata = { transaction: { id: new Uint8Array([7]) } };
      return foreign ? { answer: { metadata, rows: [FOREIGN] } } : undefined;
    };
    await expectCode(world.log.append(entries, FENCE), "fenced");
    expect(world.reads).toEqual([TOKEN_READ, TOKEN_READ]);
    expect(world.spanner.of("commit").length).toBe(1);
  });

  test("ends by its deadline, of which the first transaction took its part", async () => {
    const world = new LogWorld();
    world.spanner.next("commit", "silence");
    world.spanner.next("streamingRead", "silence");
    const failing = expectCode(world.log.append(entries, FENCE, { timeoutMs: 100 }), "unavailable");
    await world.pass(70);
    world.spanner.last("commit").fail(Grpc.ALREADY_EXISTS);
    await world.pass(0);
    expect(world.spanner.last("streamingRead").options.timeout).toBe(30);
    await world.pass(30);
    await failing;
  });
});

describe("a renewal", () => {
  test("reads the lock's token, nothing else, and writes its heartbeat, nothing else", async () => {
    for (const call of ["renew", "release"] as const) {
      const world = new LogWorld();
      expect(await world.lock[call](FENCE.name, FENCE.token)).toMatch(/ed$/);
      expect(world.reads).toEqual([TOKEN_READ]);
      const [{ update }] = world.spanner.last("commit").request.mutations;
      expect(update).toMatchObject({ table: "locktable", columns: ["name", "heartbeat"] });
    }
  });

  test("of a lock that was taken over writes nothing", async () => {
    const world = new LogWorld();
    const other = FENCE.token + 1;
    expect(await outcome(world.lock.renew(FENCE.name, other))).toBe("lost");
    expect(await outcome(world.lock.release(FENCE.name, other))).toBe("lost");
    expect(world.spanner.of("commit")).toEqual([]);
  });
});
