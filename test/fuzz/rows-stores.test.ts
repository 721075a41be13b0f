import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Fence, StoredEntry } from "../../src/store/ports.ts";
import { semaphoreKey } from "../../src/store/semaphore-rows.ts";
import { type SqliteWorld, sqliteWorld } from "../contract/worlds.ts";
import { spannerWorld } from "../contract/spanner-world.ts";
import { connectFull, entry, type FullStore } from "../contract/world.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { describeWithEmulator } from "../spanner/rule.ts";
import { expectTyped } from "./kit/errors.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";
import { logRow, semaphoreRow } from "./kit/rows.ts";

// Rows that others wrote by SQL of their own, as each database takes them.

/** A table of some database, and what may be written into it behind the store's back. */
interface Foreign {
  readonly store: FullStore;
  /** Writes a lock's row of any columns that the database takes. */
  lockRow(prng: Prng, name: string): Promise<void>;
  /** Writes a row of the log; false if the database refuses it. */
  logRow(row: ReturnType<typeof logRow>): Promise<boolean>;
}

/** Whoever judges the row may take the lock over, renew it, and write under it. */
async function takeOver({ store }: Foreign, name: string): Promise<Fence> {
  const row = await store.lock.read(name);
  const claim = { expectedToken: row?.token ?? null, watchedBeat: row?.beat };
  const by = { name, writer: "10.0.0.1:8080", leaseMs: 2_000, minAgeMs: 0, ...claim };
  const result = await store.lock.acquire(by);
  if (result.kind !== "acquired") throw new Error(`refused: ${JSON.stringify(row)}`);
  const { token } = result;
  expect(token).toBeGreaterThan(row?.token ?? 0);
  expect(await store.lock.renew(name, token)).toBe("renewed");
  return { name, token };
}

async function roundOf(foreign: Foreign, prng: Prng): Promise<void> {
  const { store } = foreign;
  const name = `lock-${prng.seed}`;
  await foreign.lockRow(prng, name);
  const fence = await takeOver(foreign, name);
  const key = `key-${prng.seed}`;
  const semaphore = `semaphore-${prng.seed}`;
  await store.log.append([entry(key, "good", "value")], fence);
  for (let left = 4; left > 0; left--) {
    await foreign.logRow(logRow(prng, key));
    await foreign.logRow(semaphoreRow(prng, semaphore));
  }
  await store.log.append([entry(key, "also good", "value")], fence);
  const read = await store.log.read(key, -1);
  expect(read.every(isEntry)).toBe(true);
  expect(read.map(({ id }) => id)).toContain("good");
  expect(await store.log.readAfter(key, null, 100)).toEqual(read.toReversed());
  const found = await store.semaphores.read(semaphore);
  const release = found.permits.map(({ owner, grant }) => ({ owner, grant }));
  const drained = { semaphore, limit: 1, release, acquire: [] };
  const beside = { owner: "o", holder: "h:1", incarnation: 1, grant: "g", detached: false };
  const good = { semaphore: `good-${prng.seed}`, limit: 1, release: [], acquire: [beside] };
  expect((await store.semaphores.change([drained, good], fence))[1]).toEqual(["acquired"]);
  expect((await store.semaphores.read(semaphore)).permits).toEqual([]);
}

function isEntry({ key, id, value, leader, timestamp }: StoredEntry): boolean {
  const texts = [key, id, value, leader].every((text) => typeof text === "string");
  return texts && Number.isSafeInteger(timestamp);
}

describe("SQLite", () => {
  let world: SqliteWorld;
  let store: FullStore;
  beforeEach(async () => {
    world = await sqliteWorld();
    store = await connectFull(world);
  });
  afterEach(async () => {
    await store.close();
    await world[Symbol.asyncDispose]();
  });

  /** Numbers at the ends of what a column holds; SQLite's own are exact, ours are not. */
  const numbers = ["NULL", "0", "1", "-1", "5000000", "1750000000000000", "9007199254740993"];
  const texts = ["NULL", "''", "'10.0.0.9:8080'", "'a b'", "CAST(x'ff00fe' AS TEXT)", "char(0)"];
  const wide = [...numbers, "9223372036854775807", "-9223372036854775808"];
  const foreign = (): Foreign => ({
    store,
    lockRow: async (prng, name) =>
      world.sql(
        `INSERT INTO locktable (name, heartbeat, boot, token, writer, lease) VALUES (?,
          ${prng.pick(wide)}, ${prng.pick([...texts, "'boot-1'"])}, ${prng.pick(wide)},
          ${prng.pick(texts)}, ${prng.pick(wide)})`,
        name,
      ),
    async logRow({ key, id, value, leader }) {
      try {
        const columns = "(timestamp, key, id, value, leader)";
        const next = "(SELECT max(timestamp) + 1 FROM logtable)";
        world.sql(
          `INSERT INTO logtable ${columns} VALUES (${next}, ?, ?, ?, ?)`,
          key,
          id,
          value,
          leader,
        );
        return true;
      } catch {
        return false; // one of its key and id is there
      }
    },
  });

  test(
    "rows of any columns are read, or passed over, and stop nothing",
    async () => {
      await asyncRounds(150, (prng) => roundOf(foreign(), prng));
    },
    boundMs(60_000),
  );

  test("no column takes a value of another type than its own", () => {
    for (const column of ["heartbeat", "token", "lease"]) {
      const insert = `INSERT INTO locktable (name, ${column}) VALUES ('x', 'text')`;
      expect(() => world.sql(insert)).toThrow();
    }
    const columns = "INSERT INTO logtable (timestamp, key, id, value, leader) VALUES";
    for (const values of [
      "1, 'k', 'i', NULL, 'l'",
      "1, 'k', 'i', x'00', 'l'",
      "'t', 'k', 'i', '', ''",
    ]) {
      expect(() => world.sql(`${columns} (${values})`)).toThrow();
    }
  });

  test("text that is no UTF-8 is read as some text", async () => {
    const { key } = entry("key", "", "");
    const text = "CAST(x'61ff62' AS TEXT)";
    world.sql(
      `INSERT INTO logtable (timestamp, key, id, value, leader) VALUES (1, ?, ${text}, ${text}, ${text})`,
      key,
    );
    world.sql(
      `INSERT INTO logtable (timestamp, key, id, value, leader) VALUES (2, CAST(x'5f5f63616c6c65723dff' AS TEXT), ?, '', '')`,
      semaphoreKey("s"),
    );
    expect((await store.log.read(key, -1)).every(isEntry)).toBe(true);
    expect((await store.semaphores.read("s")).permits).toMatchObject([{ owner: "\uFFFD" }]);
  });

  test("times that no clock of ours gives do not keep the log from going on", async () => {
    for (const timestamp of ["-1", "0", "9007199254740993", "9223372036854775807"]) {
      world.sql(
        `INSERT INTO logtable (timestamp, key, id, value, leader)
          VALUES (${timestamp}, 'far', 'id-${timestamp}', 'v', 'l')`,
      );
      for (const key of ["far", "near"]) {
        const [written] = await store.log.append([entry(key, `after ${timestamp}`, "v")], null);
        expect(written?.kind).toBe("written");
      }
    }
    const ids = (await store.log.read("far", -1)).map(({ id }) => id);
    expect(ids).toEqual([
      "after 9223372036854775807",
      "after 9007199254740993",
      "after 0",
      "after -1",
    ]);
    expect((await store.log.read("near", -1)).every(isEntry)).toBe(true);
  });
});

describeWithEmulator("Spanner", () => {
  const LOCK_TIMES = [
    "NULL",
    "TIMESTAMP '0001-01-01T00:00:00Z'",
    "TIMESTAMP '1969-12-31T23:59:59Z'",
  ];
  const NOW = ["PENDING_COMMIT_TIMESTAMP()", "TIMESTAMP '2020-01-01T00:00:00.123456789Z'"];

  test(
    "rows of any columns are read, or passed over, and stop nothing",
    async () => {
      await using world = await spannerWorld();
      const store = await connectFull(world);
      const { sql } = world;
      const nullable = (text: string) => (text === "" ? "NULL" : "@value");
      const foreign: Foreign = {
        store,
        lockRow: async (prng, name) => {
          const time = () => prng.pick([...LOCK_TIMES, ...NOW]);
          const writer = prng.pick(["NULL", "''", "'10.0.0.9:8080'", "'a b'"]);
          await sql.execute(
            `insert locktable (name, heartbeat, token, writer)
            values (@name, ${time()}, ${time()}, ${writer})`,
            { name },
          );
        },
        async logRow({ key, id, value, leader }) {
          const time = ["NULL", ...NOW][value.length % 3] ?? "NULL";
          try {
            await sql.execute(
              `insert logtable (key, id, value, leader, timestamp)
              values (@key, @id, ${nullable(value)}, @leader, ${time})`,
              { key, id, leader, ...(value !== "" && { value }) },
            );
            return true;
          } catch (error) {
            expect(String(error)).toMatch(/ALREADY_EXISTS|INVALID_ARGUMENT|FAILED_PRECONDITION/);
            return false;
          }
        },
      };
      await asyncRounds(6, async (prng) => {
        await roundOf(foreign, prng).catch((error: unknown) => {
          expectTyped(error, () => "rows in Spanner");
          throw error;
        });
      });
      await store.close();
    },
    boundMs(60_000),
  );
});
