import { describe, expect, test } from "bun:test";
import type { AcquireOutcome, Fence, Permit, PermitChange } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { type MakeWorld, useWorld } from "./world.ts";

export function semaphoresContract(makeWorld: MakeWorld): void {
  describe("semaphores", () => {
    const { store, other, fence } = useWorld(makeWorld);
    const permit = (owner: string, grant = `grant-${owner}`): Permit => ({
      owner,
      holder: "10.0.0.7:8080",
      incarnation: 42,
      grant,
      detached: false,
    });
    const nothing = { limit: 1, release: [], acquire: [] };
    const change = async (
      semaphore: string,
      claim: Fence | null,
      what: Partial<PermitChange>,
    ): Promise<AcquireOutcome[] | undefined> =>
      (await store().semaphores.change([{ ...nothing, semaphore, ...what }], claim))[0];
    const acquire = async (
      name: string,
      owner: string,
      claim: Fence,
      limit = 1,
    ): Promise<AcquireOutcome | undefined> =>
      (await change(name, claim, { limit, acquire: [permit(owner)] }))?.[0];
    const release = (name: string, owner: string, claim: Fence) =>
      change(name, claim, { release: [permit(owner)] });
    const owners = async (name: string): Promise<string[]> =>
      (await other().semaphores.read(name)).permits.map(({ owner }) => owner);

    test("there from the first permit on, and refused with another limit", async () => {
      const claim = await fence();
      expect(await other().semaphores.read("s")).toEqual({ limit: null, permits: [] });
      expect(await acquire("s", "a", claim, 2)).toBe("acquired");
      expect(await other().semaphores.read("s")).toEqual({ limit: 2, permits: [permit("a")] });
      expect(await acquire("s", "b", claim, 3)).toBe("other-limit");
      expect(await owners("s")).toEqual(["a"]);
    });

    test("S1: as many permits as the limit, one per owner", async () => {
      const claim = await fence();
      expect(await acquire("s", "x", claim, 2)).toBe("acquired");
      expect(await acquire("s", "a", claim, 2)).toBe("acquired");
      expect(await acquire("s", "c", claim, 2)).toBe("full");
      expect((await other().semaphores.read("s")).permits).toEqual([permit("x"), permit("a")]);
    });

    test("S2: the same grant again has the permit, another grant of its owner does not", async () => {
      const claim = await fence();
      expect(await acquire("s", "a", claim)).toBe("acquired");
      expect(await acquire("s", "a", claim)).toBe("acquired");
      expect(await change("s", claim, { acquire: [permit("a", "another")] })).toEqual(["held"]);
      expect((await other().semaphores.read("s")).permits).toEqual([permit("a")]);
      expect(await change("s", claim, { release: [permit("a", "another")] })).toEqual([]);
      expect(await owners("s")).toEqual(["a"]);
    });

    test("S1: takers at once never exceed the limit", async () => {
      const claim = await fence();
      const results = await Promise.all(
        Array.from({ length: 40 }, async (_, n) => {
          const { semaphores } = n % 2 === 0 ? store() : other();
          const taking = { semaphore: "s", limit: 3, acquire: [permit(`owner-${n}`)] };
          return (await semaphores.change([{ ...nothing, ...taking }], claim))[0]?.[0];
        }),
      );
      expect(results.filter((result) => result === "acquired").length).toBe(3);
      expect(results.filter((result) => result === "full").length).toBe(37);
      expect((await owners("s")).length).toBe(3);
    });

    test("S1: several in one change are counted one after the other", async () => {
      const claim = await fence();
      const wanted = [permit("a"), permit("b"), permit("a", "another"), permit("c"), permit("d")];
      expect(await change("s", claim, { limit: 3, acquire: wanted })).toEqual([
        "acquired",
        "acquired",
        "held",
        "acquired",
        "full",
      ]);
      expect((await owners("s")).toSorted()).toEqual(["a", "b", "c"]);
    });

    test("one change hands a permit over: from one owner to another, and to the same one anew", async () => {
      const claim = await fence();
      await acquire("s", "a", claim);
      const toOther = { release: [permit("a")], acquire: [permit("b")] };
      expect(await change("s", claim, toOther)).toEqual(["acquired"]);
      expect(await owners("s")).toEqual(["b"]);
      // Its reply was lost: the same again changes nothing.
      expect(await change("s", claim, toOther)).toEqual(["acquired"]);
      const toSame = { release: [permit("b")], acquire: [permit("b", "anew")] };
      expect(await change("s", claim, toSame)).toEqual(["acquired"]);
      expect(await other().semaphores.read("s")).toEqual({
        limit: 1,
        permits: [permit("b", "anew")],
      });
    });

    test("several semaphores change together, each for itself, and all or none", async () => {
      const claim = await fence();
      const taking = (semaphore: string, ...owners: string[]) => ({
        ...nothing,
        semaphore,
        acquire: owners.map((owner) => permit(owner)),
      });
      await acquire("t", "c", claim);
      const changes = [taking("s", "a", "b"), taking("t", "a"), taking("u", "a")];
      expect(await store().semaphores.change(changes, claim)).toEqual([
        ["acquired", "full"],
        ["full"],
        ["acquired"],
      ]);
      const back = { ...nothing, semaphore: "u", release: [permit("a")] };
      const handing = { ...taking("t", "a"), release: [permit("c")] };
      expect(await store().semaphores.change([back, handing], claim)).toEqual([[], ["acquired"]]);
      for (const name of ["s", "t"]) expect(await owners(name)).toEqual(["a"]);
      expect(await other().semaphores.read("u")).toEqual({ limit: null, permits: [] });
      const twice = store().semaphores.change([taking("v", "a"), taking("v", "b")], claim);
      await expectCode(twice, "invalid_argument");
      const stale = { ...claim, token: claim.token - 1 };
      await expectCode(store().semaphores.change([taking("v", "a"), back], stale), "fenced");
      expect(await owners("v")).toEqual([]);
      expect(await store().semaphores.change([], claim)).toEqual([]);
    });

    test("a released permit is free for another, once", async () => {
      const claim = await fence();
      await acquire("s", "a", claim);
      expect(await acquire("s", "b", claim)).toBe("full");
      await release("s", "b", claim);
      expect(await owners("s")).toEqual(["a"]);
      await acquire("t", "a", claim, 2);
      await acquire("t", "b", claim, 2);
      await release("t", "a", claim);
      await release("t", "a", claim);
      expect(await owners("t")).toEqual(["b"]);
      expect(await acquire("t", "c", claim, 2)).toBe("acquired");
      expect(await acquire("t", "d", claim, 2)).toBe("full");
      expect(await owners("s")).toEqual(["a"]);
    });

    test("S5: the last permit takes the semaphore with it, and another limit may follow", async () => {
      const claim = await fence();
      await acquire("s", "a", claim);
      await release("s", "a", claim);
      expect(await store().log.read("__hedge/semaphore/s", -1)).toEqual([]);
      expect(await other().semaphores.read("s")).toEqual({ limit: null, permits: [] });
      expect(await acquire("s", "a", claim, 5)).toBe("acquired");
      // Also in the change that gives the last one back.
      const drained = { limit: 7, release: [permit("a")], acquire: [permit("b")] };
      expect(await change("s", claim, drained)).toEqual(["acquired"]);
      expect(await other().semaphores.read("s")).toEqual({ limit: 7, permits: [permit("b")] });
      expect(await store().log.read("__hedge/semaphore/s", -1)).toMatchObject([{ id: "limit=7" }]);
    });

    test("semaphores of similar names, and an owner of several, do not mix", async () => {
      const claim = await fence();
      const names = ["s", "s/t", "st", "S", "s%"];
      for (const name of names) expect(await acquire(name, "a", claim)).toBe("acquired");
      await release("s", "a", claim);
      for (const name of names) expect(await owners(name)).toEqual(name === "s" ? [] : ["a"]);
    });

    test("a permit counts only where the Go system's layout has it", async () => {
      const claim = await fence();
      // Somebody's own entry, whose id is the semaphore's key.
      const entry = { key: "mine", id: "__hedge/semaphore/s", value: "v", leader: "a:1" };
      await store().log.append([entry], null);
      expect(await owners("s")).toEqual([]);
      expect(await acquire("s", "a", claim)).toBe("acquired");
    });

    test("rows are those of the Go system", async () => {
      const claim = await fence();
      const detached = { ...permit("10.0.0.7:8080"), detached: true };
      await change("s", claim, { limit: 4, acquire: [detached] });
      expect(await other().log.read("__hedge/semaphore/s", -1)).toMatchObject([
        { id: "limit=4", value: "delete-on-empty", leader: "10.0.0.7:8080" },
      ]);
      const [row] = await other().log.read("__caller=10.0.0.7:8080", -1);
      expect(row?.id).toBe("__hedge/semaphore/s");
      expect(JSON.parse(row?.value as string)).toEqual(detached);
      expect((await other().semaphores.read("s")).permits).toEqual([detached]);
    });

    test("rows as the Go system writes them are understood", async () => {
      const claim = await fence();
      const created = { key: "__hedge/semaphore/s", id: "limit=1", value: "a:1", leader: "a:1" };
      // The log's own writes refuse such ids: the Go system has its own.
      await expectCode(store().log.append([created], null), "invalid_argument");
      const row = {
        key: "__caller=10.0.0.9:8080",
        id: "__hedge/semaphore/s",
        value: "10.0.0.9:8080",
        leader: "10.0.0.9:8080",
      };
      await store().log.append([row], null);
      const held = { owner: "10.0.0.9:8080", holder: "10.0.0.9:8080", incarnation: 0, grant: "" };
      expect(await other().semaphores.read("s")).toEqual({
        limit: null,
        permits: [{ ...held, detached: false }],
      });
      expect(await acquire("s", "a", claim)).toBe("full");
      await change("s", claim, { release: [{ owner: held.owner, grant: "" }] });
      expect(await owners("s")).toEqual([]);
    });

    test("C5: nothing is written under another token than the lock's", async () => {
      const claim = await fence();
      await acquire("s", "a", claim, 2);
      const stale = { ...claim, token: claim.token - 1 };
      await expectCode(acquire("s", "b", stale, 2), "fenced");
      await expectCode(release("s", "a", stale), "fenced");
      expect(await owners("s")).toEqual(["a"]);
      // Without a fence it is not asked: the control of the tests.
      expect(await change("s", null, { limit: 2, acquire: [permit("b")] })).toEqual(["acquired"]);
    });
  });
}
