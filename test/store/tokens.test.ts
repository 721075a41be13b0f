import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRuntime } from "../../src/runtime/system.ts";
import { Connection } from "../../src/store/sqlite/connection.ts";
import type { FullStore } from "../contract/world.ts";
import { type SqliteWorld, sqliteWorld } from "../contract/worlds.ts";

const HOUR_MS = 3_600_000;

let world: SqliteWorld;
let store: FullStore;
beforeEach(async () => {
  world = await sqliteWorld();
  store = (await world.connect({ log: true })) as FullStore;
});
afterEach(async () => {
  await store.close();
  await world[Symbol.asyncDispose]();
});

/** Takes the lock over, and gives it back; gives the token. */
async function nextToken(name: string): Promise<number> {
  const row = await store.lock.read(name);
  const taken = await store.lock.acquire({
    name,
    writer: "a:1",
    leaseMs: 2_000,
    expectedToken: row?.token ?? null,
    minAgeMs: 1_000,
  });
  if (taken.kind !== "acquired") throw new Error("refused");
  await store.lock.release(name, taken.token);
  return taken.token;
}

test("tokens that a power failure took with it are not given again, even if the clock was set back", async () => {
  const first = await nextToken("demo");
  let last = first;
  for (let i = 0; i < 50; i++) {
    await world.passMs(100);
    last = await nextToken("demo");
  }
  expect(last).toBeGreaterThan(first + 4_000_000);
  // What was not on the disk is gone: all take-overs but the first, which set the bound.
  world.sql(`UPDATE locktable SET token = ${first}`);
  world.sql(`UPDATE hedgerow_meta SET value = ${first} WHERE name = 'last_token'`);
  world.clock.reboot(100);
  world.clock.jumpWallMs(-HOUR_MS);
  const afterwards = await nextToken("demo");
  expect(afterwards).toBeGreaterThan(last);
  expect(await nextToken("other")).toBeGreaterThan(afterwards);
});

test("the bound stays ahead of the tokens of a boot, and there is one", async () => {
  for (const stepMs of [0, 1, 9_000, 11_000, HOUR_MS, -HOUR_MS, 0]) {
    world.clock.jumpWallMs(stepMs);
    const token = await nextToken("demo");
    using database = new Database(world.path, { readonly: true });
    const bounds = database
      .query<{ value: number }, []>(
        "SELECT value FROM hedgerow_meta WHERE name GLOB 'token_bound/*'",
      )
      .all();
    expect(bounds.length).toBe(1);
    expect(bounds[0]?.value).toBeGreaterThanOrEqual(token);
  }
});

test("within the bound tokens are the time, not the bound", async () => {
  const tokens = [await nextToken("demo")];
  for (let i = 0; i < 5; i++) {
    await world.passMs(10);
    tokens.push(await nextToken("demo"));
  }
  const [first = 0] = tokens;
  expect(tokens.map((token) => token - first)).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000]);
});

test("a write waits for the disk unless it is told not to", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-durable-"));
  const path = join(folder, "h.db");
  const database = new Database(path);
  database.run("PRAGMA journal_mode = WAL");
  database.run("PRAGMA synchronous = FULL");
  const connection = new Connection(database, path, systemRuntime());
  const synchronous = () =>
    (database.query("PRAGMA synchronous").get() as { synchronous: number }).synchronous;
  const [normal, full] = [1, 2];
  try {
    expect(await connection.write("write", {}, synchronous, false)).toBe(normal);
    expect(await connection.write("write", {}, synchronous)).toBe(full);
    const fails = () => {
      throw new Error("no");
    };
    await connection.write("write", {}, fails, false).catch(() => {});
    expect(synchronous()).toBe(full);
  } finally {
    connection.close();
    await rm(folder, { recursive: true, force: true });
  }
});
