import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HedgerowError } from "../../src/errors.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import type { LogStore, Store } from "../../src/store/ports.ts";
import { openSqlite } from "../../src/store/sqlite/open.ts";

const refused = tryMount();

describe("a full disk under SQLite", () => {
  test.skipIf(refused !== null)(
    `fails the write typed, keeps what was acknowledged, and is overcome${refused ?? ""}`,
    async () => {
      using disk = mountSmallDisk();
      const ballast = join(disk.directory, "ballast");
      writeFileSync(ballast, Buffer.alloc(1024 * 1024));
      const tables = { lockTable: "locktable", logTable: "logtable" };
      const path = join(disk.directory, "test.db");
      const store = (await openSqlite({ path, ...tables, runtime: systemRuntime() })) as Store & {
        log: LogStore;
      };
      const entry = (n: number) => ({
        key: `k${n}`,
        id: "1",
        value: "v".repeat(9000),
        leader: "l:1",
      });
      const batch = (n: number) => Array.from({ length: 10 }, (_, i) => entry(n * 10 + i));
      let acknowledged = 0;
      let failure: unknown = null;
      while (failure === null && acknowledged < 1000) {
        try {
          await store.log.append(batch(acknowledged), null);
          acknowledged++;
        } catch (error) {
          failure = error;
        }
      }
      expect(acknowledged).toBeGreaterThan(2);
      expect(HedgerowError.is(failure, "store_failed")).toBe(true);
      expect((failure as HedgerowError).message).toContain("disk is full: free some space");
      for (let n = 0; n < acknowledged * 10; n++) {
        expect((await store.log.read(`k${n}`, -1)).length).toBe(1);
      }
      for (const { key } of batch(acknowledged)) expect(await store.log.read(key, -1)).toEqual([]);

      rmSync(ballast);
      await store.log.append(batch(acknowledged), null);
      expect((await store.log.read(`k${acknowledged * 10}`, -1)).length).toBe(1);
      await store.close();
    },
  );
});

function mountSmallDisk(): { directory: string } & Disposable {
  const directory = mkdtempSync(join(tmpdir(), "hedgerow-disk-"));
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory]);
  if (!mounted.success) {
    rmdirSync(directory);
    throw new Error(mounted.stderr.toString().trim());
  }
  return {
    directory,
    [Symbol.dispose]: () => {
      Bun.spawnSync(["umount", directory]);
      rmdirSync(directory);
    },
  };
}

/** Why no disk can be mounted here, or null. */
function tryMount(): string | null {
  if (process.platform !== "linux") return " (skipped: tmpfs is Linux's)";
  if (process.getuid?.() !== 0) return " (skipped: only root may mount a small disk)";
  try {
    mountSmallDisk()[Symbol.dispose]();
    return null;
  } catch (error) {
    return ` (skipped: ${String(error)})`;
  }
}
