import { describe, expect, test } from "bun:test";
import { type AppendOutcome, NO_APPEND_ID, type NewEntry } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { entry, type MakeWorld, takeFence, useWorld } from "./world.ts";

type Conditions = Pick<NewEntry, "ifVersion" | "fence">;

/** Writes on conditions that the database checks in the write's own transaction. */
export function conditionalContract(makeWorld: MakeWorld): void {
  describe("conditional writes", () => {
    const { world, store, other, fence } = useWorld(makeWorld);
    const append = async (
      id: string,
      value: string,
      conditions: Conditions = {},
    ): Promise<AppendOutcome> => {
      const [outcome] = await store().log.append(
        [{ ...entry("k", id, value), ...conditions }],
        null,
      );
      return outcome as AppendOutcome;
    };
    const values = async (key = "k"): Promise<string[]> =>
      (await other().log.read(key, -1)).map((version) => version.value);

    test("written where the version named is the newest, else refused with the newest one's id", async () => {
      expect(await append("1", "a", { ifVersion: "" })).toMatchObject({ kind: "written" });
      expect(await append("2", "b", { ifVersion: "1" })).toMatchObject({ kind: "written" });
      for (const ifVersion of ["1", "", "no such", NO_APPEND_ID]) {
        const refused = { kind: "other-version", current: "2" } as const;
        expect(await append("3", "c", { ifVersion })).toEqual(refused);
      }
      expect(await values()).toEqual(["b", "a"]);
    });

    test("a key that has no version is told by an empty id", async () => {
      const refused = { kind: "other-version", current: "" } as const;
      expect(await append("1", "a", { ifVersion: "x" })).toEqual(refused);
      expect(await values()).toEqual([]);
    });

    test("C4: an entry that is there with its value is acknowledged whatever its conditions", async () => {
      const claim = await fence();
      const first = await append("1", "a", { ifVersion: "" });
      await append("2", "b");
      const lost = { ...claim, token: claim.token - 1 };
      for (const conditions of [{ ifVersion: "" }, { ifVersion: "2" }, { fence: lost }]) {
        expect(await append("1", "a", conditions)).toEqual(first);
        expect(await append("1", "other", conditions)).toEqual({ kind: "conflict" });
      }
      expect(await values()).toEqual(["b", "a"]);
    });

    test("the newest version itself, repeated on the condition that it met, is acknowledged", async () => {
      await append("1", "a");
      const second = await append("2", "b", { ifVersion: "1" });
      expect(await append("2", "b", { ifVersion: "1" })).toEqual(second);
      expect(await append("2", "b", { ifVersion: "2" })).toEqual(second);
      expect(await append("2", "c", { ifVersion: "2" })).toEqual({ kind: "conflict" });
    });

    test("of writers at once on one version, one wins", async () => {
      await append("0", "zero");
      const outcomes = await Promise.all(
        Array.from({ length: 12 }, (_, n) => {
          const { log } = n % 2 === 0 ? store() : other();
          return log.append([{ ...entry("k", `id-${n}`, `${n}`), ifVersion: "0" }], null);
        }),
      );
      const won = outcomes.flatMap(([outcome], n) => (outcome?.kind === "written" ? [n] : []));
      expect(won.length).toBe(1);
      expect(await values()).toEqual([`${won[0]}`, "zero"]);
      for (const [n, [outcome]] of outcomes.entries()) {
        if (n === won[0]) continue;
        expect(outcome).toEqual({ kind: "other-version", current: `id-${won[0]}` });
      }
    });

    test("the `-` row is a version like any other, for conditions on it and of it", async () => {
      const replace = (value: string, ifVersion: string) =>
        append(NO_APPEND_ID, value, { ifVersion });
      expect(await replace("one", "")).toMatchObject({ kind: "written" });
      const there = { kind: "other-version", current: NO_APPEND_ID } as const;
      expect(await replace("two", "")).toEqual(there);
      expect(await replace("two", NO_APPEND_ID)).toMatchObject({ kind: "written" });
      expect(await append("1", "a", { ifVersion: NO_APPEND_ID })).toMatchObject({
        kind: "written",
      });
      const later = { kind: "other-version", current: "1" } as const;
      expect(await replace("three", NO_APPEND_ID)).toEqual(later);
      expect(await values()).toEqual(["a", "two"]);
    });

    test("a claim to any lock: refused once the lock has another token, or no row", async () => {
      const mine = await takeFence(store(), "their lock");
      expect(await append("1", "a", { fence: mine })).toMatchObject({ kind: "written" });
      expect(await append("2", "b", { fence: { ...mine, token: mine.token + 1 } })).toEqual({
        kind: "fenced",
      });
      expect(await append("2", "b", { fence: { ...mine, name: "no such" } })).toEqual({
        kind: "fenced",
      });
      await world().passMs(60);
      const taken = await other().lock.acquire({
        name: mine.name,
        writer: "b:2",
        expectedToken: mine.token,
        leaseMs: 2_000,
        minAgeMs: 50,
      });
      if (taken.kind !== "acquired") throw new Error("refused");
      expect(await append("2", "b", { fence: mine })).toEqual({ kind: "fenced" });
      const theirs = { ...mine, token: taken.token };
      expect(await append("2", "b", { fence: theirs })).toMatchObject({ kind: "written" });
      expect(await values()).toEqual(["b", "a"]);
    });

    test("a renewed or released lock keeps its token, and so the claim", async () => {
      const mine = await takeFence(store(), "their lock");
      await store().lock.renew(mine.name, mine.token);
      expect(await append("1", "a", { fence: mine })).toMatchObject({ kind: "written" });
      await store().lock.release(mine.name, mine.token);
      expect(await append("2", "b", { fence: mine })).toMatchObject({ kind: "written" });
    });

    test("both conditions must hold", async () => {
      const mine = await takeFence(store(), "their lock");
      const stale = { ...mine, token: mine.token - 1 };
      await append("1", "a");
      expect(await append("2", "b", { ifVersion: "1", fence: stale })).toEqual({ kind: "fenced" });
      expect(await append("2", "b", { ifVersion: "", fence: mine })).toEqual({
        kind: "other-version",
        current: "1",
      });
      const both = { ifVersion: "1", fence: mine };
      expect(await append("2", "b", both)).toMatchObject({ kind: "written" });
    });

    test("what is refused in a batch does not touch the others", async () => {
      const leader = await fence();
      const mine = await takeFence(store(), "their lock");
      const stale = { ...mine, token: mine.token + 1 };
      await append("1", "a");
      await store().log.append([entry("there", "1", "old"), entry("twice", "1", "same")], leader);
      const outcomes = await store().log.append(
        [
          entry("plain", "1", "plain"),
          { ...entry("k", "2", "b"), ifVersion: "1" },
          { ...entry("missing", "1", "c"), ifVersion: "x" },
          { ...entry("fenced", "1", "d"), fence: stale },
          { ...entry("claimed", "1", "e"), fence: mine, ifVersion: "" },
          entry("there", "1", "new"),
          { ...entry("twice", "1", "same"), ifVersion: "" },
          { ...entry("replaced", NO_APPEND_ID, "f"), ifVersion: "" },
        ],
        leader,
      );
      expect(outcomes.map(({ kind }) => kind)).toEqual([
        "written",
        "written",
        "other-version",
        "fenced",
        "written",
        "conflict",
        "written",
        "written",
      ]);
      expect(await values()).toEqual(["b", "a"]);
      expect(await values("plain")).toEqual(["plain"]);
      expect(await values("missing")).toEqual([]);
      expect(await values("fenced")).toEqual([]);
      expect(await values("claimed")).toEqual(["e"]);
      expect(await values("there")).toEqual(["old"]);
      expect(await values("twice")).toEqual(["same"]);
      expect(await values("replaced")).toEqual(["f"]);
    });

    test("C5: the leader's own claim comes first: without it nothing is written at all", async () => {
      const leader = await fence();
      const stale = { ...leader, token: leader.token - 1 };
      const batch = [{ ...entry("k", "1", "a"), ifVersion: "" }, entry("l", "1", "b")];
      await expectCode(store().log.append(batch, stale), "fenced");
      expect(await values()).toEqual([]);
      expect(await values("l")).toEqual([]);
    });

    test("conditions that no store takes are refused", async () => {
      const mine = await takeFence(store(), "their lock");
      const tooLong = "i".repeat(129);
      await expectCode(append("1", "a", { ifVersion: tooLong }), "too_large");
      await expectCode(append("1", "a", { ifVersion: "\uD800" }), "invalid_argument");
      const badName = { ...mine, name: "" };
      await expectCode(append("1", "a", { fence: badName }), "invalid_argument");
      const badToken = { ...mine, token: 1.5 };
      await expectCode(append("1", "a", { fence: badToken }), "invalid_argument");
      expect(await values()).toEqual([]);
    });
  });
}
