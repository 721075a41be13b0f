import { describe, expect, test } from "bun:test";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../../src/store/limits.ts";
import { type LogCursor, NO_APPEND_ID, type StoredEntry } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { entry, type MakeWorld, useWorld } from "./world.ts";

/** Reading a key's history on from a place, and removing its beginning. */
export function historyContract(makeWorld: MakeWorld): void {
  describe("history", () => {
    const { world, store, other, fence } = useWorld(makeWorld);
    const put = async (key: string, id: string): Promise<number> => {
      const [outcome] = await store().log.append([entry(key, id, `value ${id}`)], null);
      if (outcome?.kind !== "written") throw new Error(`${key} ${id}: ${outcome?.kind}`);
      return outcome.timestamp;
    };
    const putAll = async (key: string, ids: readonly string[]): Promise<number[]> => {
      const timestamps = [];
      for (const id of ids) timestamps.push(await put(key, id));
      return timestamps;
    };
    const idsAfter = async (key: string, after: LogCursor | null, limit = 100) =>
      (await other().log.readAfter(key, after, limit)).map(({ id }) => id);
    const ids = async (key: string) => (await other().log.read(key, -1)).map(({ id }) => id);

    describe("readAfter", () => {
      test("gives the versions after a place, oldest first, as they are stored", async () => {
        await putAll("k", ["c", "a", "b"]);
        await put("other", "x");
        const all = await other().log.readAfter("k", null, 100);
        expect(all).toEqual((await store().log.read("k", -1)).toReversed());
        expect(await idsAfter("k", all[0] as StoredEntry)).toEqual(["a", "b"]);
        expect(await idsAfter("k", all[1] as StoredEntry)).toEqual(["b"]);
        expect(await idsAfter("k", all[2] as StoredEntry)).toEqual([]);
        expect(await idsAfter("nobody", null)).toEqual([]);
      });

      test("pages that follow each other are the whole history, whatever their size", async () => {
        const written = Array.from({ length: 13 }, (_, n) => `id-${n}`);
        await putAll("k", written);
        for (const limit of [1, 3, 13, 100]) {
          const read: string[] = [];
          let after: LogCursor | null = null;
          for (;;) {
            const page: StoredEntry[] = await other().log.readAfter("k", after, limit);
            read.push(...page.map(({ id }) => id));
            after = page.at(-1) ?? after;
            if (page.length < limit) break;
          }
          expect(read).toEqual(written);
        }
      });

      test("from a place whose version is gone, or never was, it goes on after it", async () => {
        const timestamps = await putAll("k", ["a", "b", "c"]);
        const between = { timestamp: (timestamps[1] as number) - 1, id: "zzz" };
        expect(await idsAfter("k", between)).toEqual(["b", "c"]);
        expect(await idsAfter("k", { timestamp: 0, id: "" })).toEqual(["a", "b", "c"]);
      });

      test("a `-` row that was replaced comes again, in its new place", async () => {
        await put("k", NO_APPEND_ID);
        const [row] = await other().log.readAfter("k", null, 10);
        await put("k", "a");
        await put("k", NO_APPEND_ID);
        expect(await idsAfter("k", row as StoredEntry)).toEqual(["a", NO_APPEND_ID]);
      });

      test("large values are read whole", async () => {
        const value = "v".repeat(MAX_VALUE_BYTES);
        for (const id of ["a", "b", "c", "d", "e", "f"]) {
          await store().log.append([entry("k", id, value)], null);
        }
        const read = await other().log.readAfter("k", null, 32);
        expect(read.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "e", "f"]);
        expect(read.every((version) => version.value === value)).toBe(true);
      });

      test("a reader that goes on while writers write misses and repeats nothing", async () => {
        const writing = Promise.all(
          Array.from({ length: 30 }, (_, n) => {
            const { log } = n % 2 === 0 ? store() : other();
            return log.append([entry("k", `id-${n}`, `${n}`)], null);
          }),
        );
        let done = false;
        void writing.finally(() => {
          done = true;
        });
        const read: string[] = [];
        let after: LogCursor | null = null;
        for (let last = false; ;) {
          last = done;
          await new Promise(setImmediate); // a read that needs no I/O lets the writers in only so
          const page: StoredEntry[] = await other().log.readAfter("k", after, 4);
          read.push(...page.map(({ id }) => id));
          after = page.at(-1) ?? after;
          if (last && page.length === 0) break;
        }
        await writing;
        expect(read).toEqual((await ids("k")).toReversed());
        expect(new Set(read).size).toBe(30);
      });
    });

    test("locate tells when a version was written, and null for one that is not there", async () => {
      const timestamp = await put("k", "a");
      await put("l", "b");
      expect(await other().log.locate("k", "a")).toBe(timestamp);
      expect(await other().log.locate("k", "b")).toBeNull();
      expect(await other().log.locate("k", NO_APPEND_ID)).toBeNull();
      const replaced = await put("k", NO_APPEND_ID);
      expect(await other().log.locate("k", NO_APPEND_ID)).toBe(replaced);
    });

    test("keys come page by page, each once, with the times of their first and last version", async () => {
      const written = ["b", "a", "é", "a/b", "🦔", "\uFFFD", "A", "a".repeat(MAX_KEY_BYTES)];
      for (const key of written) await putAll(key, ["1", "2", "3"]);
      for (const limit of [1, 3, 100]) {
        const read: string[] = [];
        for (let after: string | null = null; ;) {
          const page = await other().log.keys(after, limit);
          for (const { key, oldest, newest } of page) {
            const versions = await store().log.read(key, -1);
            expect(oldest).toBe(versions[2]?.timestamp as number);
            expect(newest).toBe(versions[0]?.timestamp as number);
            read.push(key);
          }
          if (page.length < limit) break;
          after = read.at(-1) as string;
        }
        expect(read.toSorted()).toEqual(written.toSorted());
      }
    });

    describe("trim", () => {
      const LATER = 4_000_000_000_000_000;

      test("keeps the newest, removes the oldest, and tells how many", async () => {
        const claim = await fence();
        await putAll("k", ["a", "b", "c", "d", "e"]);
        await putAll("l", ["a", "b", "c"]);
        await putAll("m", ["a", "b"]);
        const keys = [
          { key: "k", before: LATER },
          { key: "l", before: LATER },
          { key: "nobody", before: LATER },
        ];
        expect(await store().log.trim(keys, 2, 100, claim)).toBe(4);
        expect(await ids("k")).toEqual(["e", "d"]);
        expect(await ids("l")).toEqual(["c", "b"]);
        expect(await ids("m")).toEqual(["b", "a"]);
        expect(await store().log.trim(keys, 2, 100, claim)).toBe(0);
        expect(await store().log.trim(keys, 1, 100, null)).toBe(2);
        expect(await ids("k")).toEqual(["e"]);
      });

      test("never removes a key's newest version", async () => {
        await put("k", "a");
        expect(await store().log.trim([{ key: "k", before: LATER }], 1, 100, null)).toBe(0);
        expect(await ids("k")).toEqual(["a"]);
        await expectCode(
          store().log.trim([{ key: "k", before: LATER }], 0, 100, null),
          "invalid_argument",
        );
      });

      test("removes nothing that is not before the time given for its key", async () => {
        const timestamps = await putAll("k", ["a", "b", "c", "d"]);
        const others = await putAll("l", ["a", "b", "c", "d"]);
        const keys = [
          { key: "k", before: timestamps[2] as number },
          { key: "l", before: others[1] as number },
        ];
        expect(await store().log.trim(keys, 1, 100, null)).toBe(3);
        expect(await ids("k")).toEqual(["d", "c"]);
        expect(await ids("l")).toEqual(["d", "c", "b"]);
      });

      test("removes at most so many, the oldest of a key first", async () => {
        await putAll("k", ["a", "b", "c", "d", "e"]);
        await putAll("l", ["a", "b", "c", "d", "e"]);
        const keys = ["k", "l"].map((key) => ({ key, before: LATER }));
        expect(await store().log.trim(keys, 1, 3, null)).toBe(3);
        const left = [await ids("k"), await ids("l")];
        expect(left.flat().length).toBe(7);
        for (const versions of left) {
          expect(versions).toEqual(["e", "d", "c", "b", "a"].slice(0, versions.length));
        }
        expect(await store().log.trim(keys, 1, 100, null)).toBe(5);
      });

      test("the `-` row stays, and counts as a version", async () => {
        await put("k", NO_APPEND_ID);
        await putAll("k", ["a", "b", "c"]);
        expect(await store().log.trim([{ key: "k", before: LATER }], 2, 100, null)).toBe(1);
        expect(await ids("k")).toEqual(["c", "b", NO_APPEND_ID]);
        await put("k", NO_APPEND_ID);
        expect(await store().log.trim([{ key: "k", before: LATER }], 2, 100, null)).toBe(1);
        expect(await ids("k")).toEqual([NO_APPEND_ID, "c"]);
      });

      test("C5: removes nothing under another token than the lock's", async () => {
        const claim = await fence();
        await putAll("k", ["a", "b", "c"]);
        const keys = [{ key: "k", before: LATER }];
        const stale = { ...claim, token: claim.token - 1 };
        await expectCode(store().log.trim(keys, 1, 100, stale), "fenced");
        expect(await ids("k")).toEqual(["c", "b", "a"]);
      });

      test("Hedgerow's own rows are refused", async () => {
        for (const key of ["__hedge/semaphore/s", "__hedgerow/ca", "__caller=a:1"]) {
          await putAll(key, ["a", "b"]);
          const keys = [
            { key: "fine", before: LATER },
            { key, before: LATER },
          ];
          await expectCode(store().log.trim(keys, 1, 100, null), "invalid_argument");
          expect(await ids(key)).toEqual(["b", "a"]);
        }
      });

      test("later versions go on rising, whatever was removed", async () => {
        const timestamps = await putAll("k", ["a", "b", "c"]);
        await store().log.trim([{ key: "k", before: LATER }], 1, 100, null);
        await world().passMs(2);
        expect(await put("k", "d")).toBeGreaterThan(timestamps[2] as number);
        expect(await idsAfter("k", { timestamp: timestamps[0] as number, id: "a" })).toEqual([
          "c",
          "d",
        ]);
      });
    });

    test("counts, places and keys that no store takes are refused", async () => {
      const { log } = store();
      for (const wrong of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        await expectCode(log.readAfter("k", null, wrong), "invalid_argument");
        await expectCode(log.keys(null, wrong), "invalid_argument");
        await expectCode(log.trim([{ key: "k", before: 1 }], 1, wrong, null), "invalid_argument");
      }
      await expectCode(log.readAfter("", null, 1), "invalid_argument");
      await expectCode(log.locate("k", ""), "invalid_argument");
      await expectCode(log.locate("k", "i".repeat(129)), "too_large");
      await expectCode(log.keys("k".repeat(MAX_KEY_BYTES + 1), 1), "too_large");
      await expectCode(log.trim([{ key: "k", before: -1 }], 1, 1, null), "invalid_argument");
    });
  });
}
