import { expect, test } from "bun:test";
import { entry, type FullStore, takeFence } from "../contract/world.ts";
import { sqliteWorld } from "../contract/worlds.ts";

const VERSIONS = 100_000;

/** The shortest of several runs: what the work costs when nothing disturbs it. */
async function fastestMs(run: () => Promise<unknown>): Promise<number> {
  let fastest = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 30; n++) {
    const start = performance.now();
    await run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  return fastest;
}

test("a key with 100,000 versions is read and written as fast as a small one", async () => {
  await using world = await sqliteWorld();
  const store = (await world.connect({ log: true })) as FullStore;
  const claim = await takeFence(store, "leader");
  const permit = { owner: "o", holder: "h:1", incarnation: 1, grant: "g", detached: false };
  const change = { semaphore: "s", limit: 5, release: [], acquire: [permit] };
  // A small key older than all versions of the large one, whose ids and values are in no order.
  world.sql("INSERT INTO logtable VALUES (0, 'small', 'id-1', 'v', 'l:1')");
  world.sql(
    `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO logtable (timestamp, key, id, value, leader)
     SELECT i, 'large', 'id-' || (i * 7919 % 100003), 'v' || i, 'l:1' FROM n`,
    VERSIONS,
  );
  const newest = await store.log.read("large", 2);
  expect(newest.map(({ value }) => value)).toEqual([`v${VERSIONS}`, `v${VERSIONS - 1}`]);

  const calls: Record<string, () => Promise<unknown>> = {
    "newest of the large key": () => store.log.read("large", 50),
    "oldest of the large key": () => store.log.read("large", -2),
    "newest of the small key": () => store.log.read("small", 0),
    "all of the small key": () => store.log.read("small", -1),
    "none of a missing key": () => store.log.read("missing", -1),
    "duplicate in the large key": () => store.log.append([entry("large", "id-7919", "v1")], claim),
    "duplicate in the small key": () => store.log.append([entry("small", "id-1", "v")], claim),
    "S6: permits of a semaphore": () => store.semaphores.read("s"),
    "S6: permits counted in a transaction": () => store.semaphores.change([change], claim),
  };
  // Reading through 100,000 rows takes longer by orders of magnitude.
  const scanMs = await fastestMs(async () =>
    world.sql("SELECT max(value) FROM logtable WHERE key = 'large'"),
  );
  for (const [what, call] of Object.entries(calls)) {
    expect(await fastestMs(call), what).toBeLessThan(scanMs / 5);
  }
  await store.close();
}, 90_000);
