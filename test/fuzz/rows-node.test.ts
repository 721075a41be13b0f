import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import type { HedgerowError } from "../../src/errors.ts";
import { lockRowName } from "../../src/lock/row-name.ts";
import { AUTHORITY_KEY, loadAuthorities } from "../../src/rpc/authority.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { findMount } from "../../src/store/sqlite/mount.ts";
import { connectFull } from "../contract/world.ts";
import { sqliteWorld } from "../contract/worlds.ts";
import { runtime } from "../rpc/kit/nodes.ts";
import { expectTyped } from "./kit/errors.ts";
import { RealNode } from "./kit/real-node.ts";
import { asyncRounds, boundMs, rounds } from "./kit/rounds.ts";
import { mutateText, text } from "./kit/texts.ts";

// What a node reads at its start: the lock's row, the cluster's authorities, the table of mounts.

test("a lock's row whose writer is no address keeps no node from starting and leading", async () => {
  const writers = [
    "a b:1",
    "",
    "http://somewhere",
    "10.0.0.9:80/path",
    "[",
    "\0",
    "x".repeat(5_000),
  ];
  await Promise.all(
    writers.map(async (writer) => {
      const prepare = async (path: string) => {
        const tables = { lockTable: "locktable", logTable: "logtable" };
        await (await openSqlite({ path, ...tables, runtime })).close();
        using database = new Database(path);
        // Without a heartbeat it counts as held for a lease.
        const insert = "INSERT INTO locktable (name, token, writer) VALUES (?, 7, ?)";
        database.run(insert, [lockRowName("hedgerow"), writer]);
      };
      await using real = await RealNode.start(prepare);
      await real.node.put("key", "value");
      expect(real.node.leader).toBe(real.node.address);
    }),
  );
}, 60_000);

test(
  "authorities of others are taken, or refused as damaged",
  async () => {
    await using world = await sqliteWorld();
    const store = await connectFull(world);
    const clock = runtime.clock;
    await loadAuthorities(store.log, clock, "10.0.0.1:8080", null);
    const [good] = await store.log.read(AUTHORITY_KEY, 0);
    const value = good?.value ?? "";
    let taken = 0;
    await asyncRounds(150, async (prng) => {
      const changed = prng.chance(0.2) ? text(prng).toWellFormed() : mutateText(prng, value);
      const id = prng.pick(["1", "2", "999999999999999", "0", "-", "x"]);
      world.sql("DELETE FROM logtable");
      const insert =
        "INSERT INTO logtable (timestamp, key, id, value, leader) VALUES (1, ?, ?, ?, '')";
      world.sql(insert, AUTHORITY_KEY, id, changed.toWellFormed());
      try {
        const { trusted } = await loadAuthorities(store.log, clock, "10.0.0.1:8080", null);
        expect(trusted[0]).toStartWith("-----BEGIN CERTIFICATE-----");
        taken++;
      } catch (error) {
        expect(expectTyped(error, () => "an authority")).toBe("store_failed");
        // The key must not get into a log.
        expect((error as HedgerowError).message).not.toContain("PRIVATE");
      }
    });
    expect(taken).toBeGreaterThan(0);
    await store.close();
  },
  boundMs(30_000),
);

test("a table of mounts is read whatever it holds", () => {
  const line = "tmpfs /run/a\\040b tmpfs rw,nosuid 0 0\n/dev/sda1 / ext4 rw 0 0\n";
  rounds(500, (prng) => {
    const mount = findMount(mutateText(prng, line.repeat(1 + prng.int(3))), "/run/a b/file.db");
    expect(mount === null || typeof mount.supported === "boolean").toBe(true);
  });
});
