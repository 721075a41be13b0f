import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrorCode } from "../../src/errors.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { openStore } from "../../src/store/open.ts";
import type { LogStore, Store } from "../../src/store/ports.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { expectCode } from "../contract/errors.ts";
import { scriptPath, startCommand } from "./children.ts";

describe("the SQLite file", () => {
  const runtime = systemRuntime();
  const tables = { lockTable: "locktable", logTable: "logtable" };
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "hedgerow-file-"));
    path = join(directory, "test.db");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const open = (file = path, names = tables) => openSqlite({ path: file, ...names, runtime });
  const entry = { key: "k", id: "1", value: "v", leader: "l:1" };

  test("is readable for its owner alone, and so is all that lies beside it", async () => {
    const store = (await open()) as Store & { log: LogStore };
    await store.log.append([entry], null);
    for (const suffix of ["", "-wal", "-shm"]) {
      expect(statSync(path + suffix).mode & 0o777).toBe(0o600);
    }
    await store.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("keeps its contents over a restart", async () => {
    const first = (await open()) as Store & { log: LogStore };
    await first.log.append([entry], null);
    await first.close();
    const second = (await open()) as Store & { log: LogStore };
    expect(await second.log.read("k", -1)).toMatchObject([entry]);
    await second.close();
  });

  test("may hold several pairs of tables, of any allowed names", async () => {
    const names = { lockTable: "order", logTable: `_${"x".repeat(127)}` };
    const one = (await open(path, names)) as Store & { log: LogStore };
    const two = (await open()) as Store & { log: LogStore };
    await one.log.append([entry], null);
    expect(await two.log.read("k", -1)).toEqual([]);
    await one.close();
    await two.close();
  });

  const BAD_NAMES = [
    "",
    "1st",
    "a-b",
    'a"b',
    "a b",
    "é",
    "x".repeat(129),
    "sqlite_x",
    "Hedgerow_Meta",
  ];
  test("table names that could not stand in SQL are refused", async () => {
    for (const name of BAD_NAMES) {
      await expectCode(open(path, { ...tables, lockTable: name }), "invalid_argument");
      if (name === "") continue;
      await expectCode(open(path, { ...tables, logTable: name }), "invalid_argument");
    }
    await expectCode(open(path, { lockTable: "same", logTable: "Same" }), "invalid_argument");
    expect(() => statSync(path)).toThrow();
  });

  const refusal = async (file: string, code: ErrorCode, mend: string) => {
    const error = await expectCode(open(file), code);
    expect(error.message).toContain(file);
    expect(error.message).toContain(mend);
  };

  test("is refused with the mend where it cannot be one", async () => {
    await refusal(join(directory, "none", "x.db"), "store_failed", "does not exist: create it");
    mkdirSync(path);
    await refusal(path, "store_failed", "cannot be opened");
    const text = join(directory, "text");
    writeFileSync(text, "this is a text, and a long one. ".repeat(200));
    await refusal(text, "store_failed", "name another file");
    await refusal(join(text, "x.db"), "store_failed", "is not a directory");
    await expectCode(open(""), "invalid_argument");
  });

  test("of another program is refused and left as it is", async () => {
    using database = new Database(path);
    database.run("CREATE TABLE theirs (x)");
    await refusal(path, "store_failed", "belongs to another program");
    expect(database.query("PRAGMA journal_mode").get()).toEqual({ journal_mode: "delete" });
    expect(database.query("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "theirs" }]);
  });

  test("of a newer Hedgerow is refused", async () => {
    await (await open()).close();
    using database = new Database(path);
    database.run("PRAGMA user_version = 999");
    await refusal(path, "store_failed", "upgrade this node");
  });

  test("that is damaged is named, and the call fails", async () => {
    const store = (await open()) as Store & { log: LogStore };
    const value = "v".repeat(3000);
    for (let n = 0; n < 200; n++) await store.log.append([{ ...entry, id: `${n}`, value }], null);
    await store.close();
    const bytes = Buffer.from(await Bun.file(path).arrayBuffer());
    // Every page but the first, which holds the header and the schema.
    bytes.fill(0xee, 4096);
    writeFileSync(path, bytes);
    const damaged = open().then(async (reopened) => {
      try {
        await (reopened as Store & { log: LogStore }).log.read("k", -1);
      } finally {
        await reopened.close();
      }
    });
    const error = await expectCode(damaged, "store_failed");
    expect(error.message).toContain("restore it from a backup");
  });

  test("that was moved away under a running node is noticed", async () => {
    const store = (await open()) as Store & { log: LogStore };
    await store.log.append([entry], null);
    renameSync(path, `${path}.away`);
    const error = await expectCode(store.log.append([{ ...entry, id: "2" }], null), "store_failed");
    expect(error.message).toContain("moved or deleted");
    await expectCode(store.ping(), "store_failed");
    renameSync(`${path}.away`, path);
    await store.ping();
    expect((await store.log.read("k", -1)).length).toBe(1);
    await store.close();
  });

  const ordinaryUser = ordinaryUserCommand();
  test.skipIf(ordinaryUser.command === null)(
    `that this user may not read, or not write, is refused with the mend${ordinaryUser.skipped}`,
    async () => {
      const asUser = async (file: string): Promise<{ code: string; message: string }> => {
        await using child = startCommand([
          ...(ordinaryUser.command ?? []),
          scriptPath("open"),
          file,
        ]);
        return JSON.parse(await child.line());
      };
      chmodSync(directory, 0o755);
      const missing = await asUser(join(directory, "new.db"));
      expect(missing).toMatchObject({ code: "store_failed" });
      expect(missing.message).toContain(`make the directory ${directory} writable`);

      await (await open()).close();
      const unreadable = await asUser(path);
      expect(unreadable).toMatchObject({ code: "store_failed" });
      expect(unreadable.message).toContain("permissions");

      chmodSync(path, 0o644);
      const readOnly = await asUser(path);
      expect(readOnly).toMatchObject({ code: "store_failed" });
      expect(readOnly.message).toMatch(/writable|permissions/);
    },
  );

  test("is opened by the form sqlite:PATH, and other forms are named as wrong", async () => {
    const store = await openStore(`sqlite:${path}`, { ...tables, logTable: "", runtime });
    expect(store.log).toBeNull();
    await store.ping();
    await store.close();
    for (const spec of ["", path, "sqlite", "sqlites:x", "postgres:x", "SQLITE:x", "memory:"]) {
      const error = await expectCode(openStore(spec, { ...tables, runtime }), "invalid_argument");
      expect(error.message).toContain("sqlite:PATH");
    }
    await expectCode(openStore("sqlite:", { ...tables, runtime }), "invalid_argument");
  });
});

/** How to run bun as a user without root's rights, or why that cannot be done here. */
function ordinaryUserCommand(): { command: string[] | null; skipped: string } {
  const bun = process.execPath;
  if (process.getuid?.() !== 0) return { command: [bun], skipped: "" };
  const command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", bun];
  const readable = Bun.spawnSync([...command.slice(0, -1), "test", "-r", scriptPath("open")]);
  if (readable.success) return { command, skipped: "" };
  return { command: null, skipped: " (skipped: root cannot run it as another user here)" };
}
