import { afterEach, beforeEach, expect, test } from "bun:test";
import { semaphoreKey } from "../../src/store/semaphore-rows.ts";
import { connectFull, entry, type FullStore } from "../contract/world.ts";
import { type SqliteWorld, sqliteWorld } from "../contract/worlds.ts";
import { type Foreign, isEntry, roundOf } from "./kit/foreign-rows.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// Rows that others wrote by SQL of their own, as SQLite takes them.

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
    await asyncRounds(60, (prng) => roundOf(foreign(), prng));
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
