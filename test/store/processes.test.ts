import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRuntime } from "../../src/runtime/system.ts";
import type { LogStore, NewEntry, Store } from "../../src/store/ports.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";
import { expectCode } from "../contract/errors.ts";
import { startChild } from "./children.ts";

describe("one SQLite file and several processes", () => {
  let directory: string;
  let path: string;
  let opened: Store[];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "hedgerow-processes-"));
    path = join(directory, "shared.db");
    opened = [];
  });
  afterEach(async () => {
    for (const store of opened) await store.close();
    rmSync(directory, { recursive: true });
  });

  const open = async (): Promise<Store & { log: LogStore }> => {
    const tables = { lockTable: "locktable", logTable: "logtable" };
    const store = await openSqlite({ path, ...tables, runtime: systemRuntime() });
    opened.push(store);
    return store as Store & { log: LogStore };
  };
  const entry = (id: string): NewEntry => ({ key: "k", id, value: "v", leader: "l:1" });

  test("all may create it at once", async () => {
    const children = Array.from({ length: 4 }, () => startChild("open", path));
    for (const child of children) expect(JSON.parse(await child.line())).toEqual({ code: "ok" });
    await Promise.all(children.map((child) => child.done()));
    const { log } = await open();
    expect((await log.read("k", -1)).length).toBe(4);
  });

  test("contenders lose nothing, never meet a busy error, and no token writes after a later one", async () => {
    const names = ["a", "b", "c"];
    const children = names.map((name) => startChild("contend", path, name, "150"));
    const reports: { acknowledged: string[]; tokens: number[]; elapsedMs: number[] }[] = [];
    for (const child of children) reports.push(JSON.parse(await child.line()));
    await Promise.all(children.map((child) => child.done()));

    const { log } = await open();
    const acknowledged = reports.flatMap((report) => report.acknowledged);
    const history = (await log.read("history", -1)).toReversed();
    expect(history.map((version) => version.id).toSorted()).toEqual(acknowledged.toSorted());
    for (const [i, name] of names.entries()) {
      const mine = (await log.read(`${name}/7`, -1)).toReversed().map((version) => version.id);
      expect(mine).toEqual(reports[i]?.acknowledged as string[]);
      expect(mine.length).toBeGreaterThan(10);
    }
    const tokens = reports.flatMap((report) => report.tokens);
    expect(new Set(tokens).size).toBe(tokens.length);
    const writtenUnder = history.map((version) => Number(version.value));
    expect(writtenUnder).toEqual(writtenUnder.toSorted((a, b) => a - b));

    // Nobody is passed over: a writer that others starve has a commit a second.
    for (const { elapsedMs } of reports) {
      const median = elapsedMs.toSorted((a, b) => a - b)[Math.floor(elapsedMs.length / 2)];
      expect(median).toBeLessThan(500);
    }
  }, 90_000);

  test("kill -9 in mid-load loses no acknowledged entry and damages nothing", async () => {
    const { log } = await open();
    for (let round = 0; round < 4; round++) {
      const child = startChild("write", path, `key-${round}`);
      let last = -1;
      while (last < 30 + round * 17) last = Number(await child.line());
      await child.kill();
      const ids = new Set((await log.read(`key-${round}`, -1)).map((version) => version.id));
      for (let n = 0; n <= last; n++) expect(ids.has(`id-${n}`)).toBe(true);
      await log.append([entry(`after-${round}`)], null);
    }
    using database = new Database(path);
    expect(database.query("PRAGMA integrity_check").all()).toEqual([{ integrity_check: "ok" }]);
  }, 90_000);

  describe("while another process holds the write lock", () => {
    const HELD_MS = 3_000;

    test("the event loop goes on, reads are answered, and the write follows", async () => {
      const { log, lock } = await open();
      await using holder = startChild("hold", path, String(HELD_MS));
      await holder.line();
      let previous = performance.now();
      let longestGapMs = 0;
      const ticks = setInterval(() => {
        longestGapMs = Math.max(longestGapMs, performance.now() - previous);
        previous = performance.now();
      }, 5);
      let done = false;
      const writing = log.append([entry("1")], null).then(() => {
        done = true;
      });
      expect(await log.read("k", -1)).toEqual([]);
      expect(await lock.read("demo")).toBeNull();
      expect(done).toBe(false);
      await holder.line();
      await writing;
      clearInterval(ticks);
      // A loop that waited in SQLite would have stood still for all of it.
      expect(longestGapMs).toBeLessThan(0.8 * HELD_MS);
      expect((await log.read("k", -1)).length).toBe(1);
    });

    test("a call ends by its time-out or its signal, and has written nothing", async () => {
      const { log, lock } = await open();
      await using holder = startChild("hold", path, "60000");
      await holder.line();
      const start = performance.now();
      const late = await expectCode(
        log.append([entry("1")], null, { timeoutMs: 50 }),
        "unavailable",
      );
      expect(late.message).toContain("locked");
      const controller = new AbortController();
      const canceled = lock.renew("demo", 1, { signal: controller.signal });
      controller.abort();
      await expectCode(canceled, "canceled");
      expect(performance.now() - start).toBeLessThan(5_000);
      await holder.kill();
      expect(await log.read("k", -1)).toEqual([]);
      await log.append([entry("2")], null);
    });

    test("closing ends the calls that wait", async () => {
      const store = await open();
      await using holder = startChild("hold", path, "60000");
      await holder.line();
      const waiting = store.log.append([entry("1")], null);
      await store.close();
      await expectCode(waiting, "stopped");
    });
  });
});
