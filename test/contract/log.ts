import { describe, expect, test } from "bun:test";
import { MAX_BATCH_ENTRIES, MAX_VALUE_BYTES } from "../../src/store/limits.ts";
import { type AppendOutcome, NO_APPEND_ID } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { entry, type MakeWorld, useWorld } from "./world.ts";

export function logContract(makeWorld: MakeWorld): void {
  describe("log", () => {
    const { world, store, other, fence } = useWorld(makeWorld);
    const append = async (key: string, id: string, value: string): Promise<AppendOutcome> => {
      const [outcome] = await store().log.append([entry(key, id, value)], null);
      return outcome as AppendOutcome;
    };
    const written = async (key: string, id: string, value: string): Promise<number> => {
      const outcome = await append(key, id, value);
      if (outcome.kind !== "written") throw new Error(`${key} ${id}: ${outcome.kind}`);
      return outcome.timestamp;
    };
    const values = async (key: string, limit = -1): Promise<string[]> =>
      (await other().log.read(key, limit)).map((version) => version.value);

    test("an entry is read as it was written, through any connection", async () => {
      const timestamp = await written("k", "id-1", "hello");
      expect(timestamp).toBeGreaterThan(1_577_836_800_000_000);
      expect(await other().log.read("k", 0)).toEqual([
        { ...entry("k", "id-1", "hello"), timestamp },
      ]);
    });

    test("versions of a key rise in time, and are read newest first", async () => {
      const timestamps = [];
      for (const id of ["c", "a", "b"]) timestamps.push(await written("k", id, `value ${id}`));
      expect(timestamps).toEqual(timestamps.toSorted((a, b) => a - b));
      expect(new Set(timestamps).size).toBe(3);
      const read = await other().log.read("k", -1);
      expect(read.map((version) => version.id)).toEqual(["b", "a", "c"]);
      expect(read.map((version) => version.timestamp)).toEqual(timestamps.toReversed());
    });

    test("the limit chooses how many, and from which end", async () => {
      for (const n of [1, 2, 3, 4, 5]) await written("k", `id-${n}`, `${n}`);
      await written("other", "id-9", "9");
      expect(await values("k", 0)).toEqual(["5"]);
      expect(await values("k", 1)).toEqual(["5"]);
      expect(await values("k", 3)).toEqual(["5", "4", "3"]);
      expect(await values("k", 5)).toEqual(["5", "4", "3", "2", "1"]);
      expect(await values("k", 1000)).toEqual(["5", "4", "3", "2", "1"]);
      expect(await values("k", Number.MAX_VALUE)).toEqual(["5", "4", "3", "2", "1"]);
      expect(await values("k", -1)).toEqual(["5", "4", "3", "2", "1"]);
      expect(await values("k", -2)).toEqual(["1"]);
      for (const limit of [-3, -100, 1.5, Number.NaN]) {
        expect(await values("k", limit)).toEqual(["5"]);
      }
    });

    test("a history larger than one answer of any database is read whole", async () => {
      const value = (n: number) => String.fromCodePoint(0x1f330 + n).repeat(MAX_VALUE_BYTES / 4);
      for (let n = 0; n < 6; n++) await written("k", `id-${n}`, value(n));
      const read = await values("k");
      expect(read.length).toBe(6);
      for (const [n, found] of read.toReversed().entries()) expect(found === value(n)).toBe(true);
    });

    test("a key without versions gives none", async () => {
      await written("k", "id-1", "v");
      for (const limit of [-2, -1, 0, 7]) expect(await values("nobody", limit)).toEqual([]);
    });

    test("a batch answers for each entry in its place", async () => {
      const entries = Array.from({ length: 200 }, (_, n) => entry(`k${n}`, `id${n}`, `v${n}`));
      const outcomes = await store().log.append(entries, await fence());
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(entries.map(() => "written"));
      for (const n of [0, 1, 99, 199]) {
        const outcome = outcomes[n] as AppendOutcome & { kind: "written" };
        const stored = { ...entries[n], timestamp: outcome.timestamp };
        expect(await other().log.read(`k${n}`, -1)).toEqual([stored] as never);
      }
    });

    test("C4: the same entry again is acknowledged with the stored time, and not written twice", async () => {
      const timestamp = await written("k", "id-1", "v");
      await written("k", "id-2", "w");
      await world().passMs(2);
      expect(await append("k", "id-1", "v")).toEqual({ kind: "written", timestamp });
      expect(await values("k")).toEqual(["w", "v"]);
    });

    test("an id with another value is a conflict, and the first value stays", async () => {
      await written("k", "id-1", "v");
      expect(await append("k", "id-1", "other")).toEqual({ kind: "conflict" });
      expect(await append("k", "id-1", "")).toEqual({ kind: "conflict" });
      expect(await values("k")).toEqual(["v"]);
    });

    test("the same id under another key is another entry", async () => {
      await written("k", "id-1", "v");
      await written("l", "id-1", "w");
      expect(await values("k")).toEqual(["v"]);
      expect(await values("l")).toEqual(["w"]);
    });

    test("conflicts and repeats in the middle of a batch do not touch the others", async () => {
      const claim = await fence();
      const repeated = await written("c", "id-c", "old c");
      await written("d", "id-d", "old d");
      const outcomes = await store().log.append(
        [
          entry("a", "id-a", "a"),
          entry("c", "id-c", "old c"),
          entry("d", "id-d", "new d"),
          entry("e", NO_APPEND_ID, "e"),
          entry("f", "id-f", "f"),
        ],
        claim,
      );
      expect(outcomes.map((outcome) => outcome.kind)).toEqual([
        "written",
        "written",
        "conflict",
        "written",
        "written",
      ]);
      expect(outcomes[1]).toEqual({ kind: "written", timestamp: repeated });
      expect(await values("a")).toEqual(["a"]);
      expect(await values("c")).toEqual(["old c"]);
      expect(await values("d")).toEqual(["old d"]);
      expect(await values("e")).toEqual(["e"]);
      expect(await values("f")).toEqual(["f"]);
    });

    test("the `-` row is replaced, becomes the newest, and the appended rows stay", async () => {
      const first = await written("k", NO_APPEND_ID, "one");
      await written("k", "id-1", "appended");
      const second = await written("k", NO_APPEND_ID, "two");
      expect(second).toBeGreaterThan(first);
      expect(await values("k")).toEqual(["two", "appended"]);
      const third = await written("k", NO_APPEND_ID, "two");
      expect(third).toBeGreaterThan(second);
      await written("l", NO_APPEND_ID, "of another key");
      await written("k", "id-2", "last");
      expect(await values("k")).toEqual(["last", "two", "appended"]);
      expect(await values("k", -2)).toEqual(["appended"]);
    });

    test("C5: a write under another token than the lock's writes nothing at all", async () => {
      const claim = await fence();
      await written("k", NO_APPEND_ID, "before");
      const batch = [entry("k", NO_APPEND_ID, "after"), entry("l", "id-1", "after")];
      for (const wrong of [claim.token - 1, claim.token + 1, 0]) {
        await expectCode(store().log.append(batch, { ...claim, token: wrong }), "fenced");
      }
      await expectCode(store().log.append(batch, { ...claim, name: "no such lock" }), "fenced");
      expect(await values("k")).toEqual(["before"]);
      expect(await values("l")).toEqual([]);
      await store().log.append(batch, claim);
      expect(await values("k")).toEqual(["after"]);
    });

    test("C5: nor does one of which something is there already", async () => {
      const claim = await fence();
      const known = entry("k", "id-1", "v");
      const timestamp = await written("k", "id-1", "v");
      const batch = [known, entry("l", "id-2", "new")];
      const wrong = { ...claim, token: claim.token - 1 };
      await expectCode(store().log.append(batch, wrong), "fenced");
      expect(await values("l")).toEqual([]);
      const [repeated] = await store().log.append(batch, claim);
      expect(repeated).toEqual({ kind: "written", timestamp });
      expect(await values("l")).toEqual(["new"]);
    });

    test("C5: a former leader writes nothing once another has taken over", async () => {
      const former = await fence();
      await world().passMs(60);
      const taken = await other().lock.acquire({
        name: former.name,
        writer: "b:2",
        expectedToken: former.token,
        leaseMs: 2_000,
        minAgeMs: 50,
      });
      if (taken.kind !== "acquired") throw new Error("refused");
      await expectCode(store().log.append([entry("k", "old", "old")], former), "fenced");
      await other().log.append([entry("k", "new", "new")], { ...former, token: taken.token });
      expect(await values("k")).toEqual(["new"]);
    });

    test("a batch holds one version per key, and so many entries", async () => {
      const twice = [entry("k", "1", "a"), entry("l", "1", "b"), entry("k", "2", "c")];
      await expectCode(store().log.append(twice, null), "invalid_argument");
      const keyed = (length: number) =>
        Array.from({ length }, (_, n) => entry(`key-${n}`, "1", "v"));
      await expectCode(store().log.append(keyed(MAX_BATCH_ENTRIES + 1), null), "too_large");
      expect(await values("k")).toEqual([]);
      expect(await values("key-0")).toEqual([]);
      const outcomes = await store().log.append(keyed(MAX_BATCH_ENTRIES), null);
      expect(outcomes.every((outcome) => outcome.kind === "written")).toBe(true);
      expect(await store().log.append([], null)).toEqual([]);
    });

    test("writers at once lose nothing, and all read the same order", async () => {
      const writes = Array.from({ length: 60 }, (_, n) => {
        const { log } = n % 2 === 0 ? store() : other();
        return log.append([entry("k", `id-${n}`, `${n}`)], null);
      });
      await Promise.all(writes);
      const read = await store().log.read("k", -1);
      expect(read.map((version) => version.value).toSorted()).toEqual(
        writes.map((_, n) => `${n}`).toSorted(),
      );
      const sorted = read.toSorted((a, b) => b.timestamp - a.timestamp || (a.id < b.id ? 1 : -1));
      expect(read).toEqual(sorted);
      expect(await other().log.read("k", -1)).toEqual(read);
    });
  });
}
