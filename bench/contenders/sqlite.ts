// The limit of a read: SQLite's own point query for the newest version of a key, in the calling process.
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { fill, keysFor, VALUE } from "../keys.ts";
import type { Server } from "../pair.ts";
import { removeFolder, scratchFolder } from "../processes.ts";
import { playRole } from "../roles.ts";

export async function sqliteFolder(): Promise<Server> {
  const folder = await scratchFolder();
  return { info: { folder }, [Symbol.asyncDispose]: () => removeFolder(folder) };
}

if (import.meta.main) {
  await playRole({
    client: async (info) => {
      const database = new Database(join(String(info.folder), "limit.db"));
      database.run("PRAGMA journal_mode = WAL");
      database.run("CREATE TABLE log (seq INTEGER PRIMARY KEY, key TEXT, value TEXT)");
      database.run("CREATE INDEX log_key ON log (key)");
      const insert = database.query("INSERT INTO log (key, value) VALUES (?, ?)");
      database.run("BEGIN");
      await fill(info, async (key) => insert.run(key, VALUE));
      database.run("COMMIT");
      const latest = database.query(
        "SELECT value FROM log WHERE key = ? ORDER BY seq DESC LIMIT 1",
      );
      const key = keysFor(info);
      return async (n) => latest.get(key(n));
    },
  });
}
