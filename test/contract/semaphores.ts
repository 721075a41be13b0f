import { describe, expect, test } from "bun:test";
import type { Fence, Permit } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { type MakeWorld, useWorld } from "./world.ts";

export function semaphoresContract(makeWorld: MakeWorld): void {
  describe("semaphores", () => {
    const { store, other, fence } = useWorld(makeWorld);
    const permit = (owner: string): Permit => ({ owner, holder: "10.0.0.7:8080", incarnation: 42 });
    const acquire = (name: string, owner: string, claim: Fence) =>
      store().semaphores.acquire(name, permit(owner), claim);
    const owners = async (name: string): Promise<string[]> =>
      (await other().semaphores.permits(name)).map(({ owner }) => owner);

    test("created once, found again, and refused with another limit", async () => {
      const claim = await fence();
      const { semaphores } = store();
      expect(await semaphores.create("s", 2, "a:1", claim)).toEqual({ kind: "ready" });
      expect(await other().semaphores.create("s", 2, "b:2", claim)).toEqual({ kind: "ready" });
      const refused = await semaphores.create("s", 3, "a:1", claim);
      expect(refused).toEqual({ kind: "other-limit", limit: 2 });
      expect(await owners("s")).toEqual([]);
    });

    test("one that was not created is missing", async () => {
      const claim = await fence();
      expect(await acquire("s", "a", claim)).toBe("missing");
      expect(await store().semaphores.release("s", "a", claim)).toBe("not-held");
      expect(await owners("s")).toEqual([]);
    });

    test("S1: as many permits as the limit, one per owner", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 2, "a:1", claim);
      expect(await acquire("s", "x", claim)).toBe("acquired");
      expect(await acquire("s", "x", claim)).toBe("held");
      expect(await acquire("s", "a", claim)).toBe("acquired");
      expect(await acquire("s", "c", claim)).toBe("full");
      expect(await acquire("s", "x", claim)).toBe("held");
      expect(await other().semaphores.permits("s")).toEqual([permit("x"), permit("a")]);
    });

    test("S1: takers at once never exceed the limit", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 3, "a:1", claim);
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, n) => {
          const { semaphores } = n % 2 === 0 ? store() : other();
          return semaphores.acquire("s", permit(`owner-${n}`), claim);
        }),
      );
      expect(results.filter((result) => result === "acquired").length).toBe(3);
      expect(results.filter((result) => result === "full").length).toBe(17);
      expect((await owners("s")).length).toBe(3);
    });

    test("a released permit is free for another, once", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 1, "a:1", claim);
      await acquire("s", "a", claim);
      expect(await acquire("s", "b", claim)).toBe("full");
      expect(await store().semaphores.release("s", "b", claim)).toBe("not-held");
      expect(await owners("s")).toEqual(["a"]);
      // Another one keeps the semaphore's row.
      await store().semaphores.create("t", 2, "a:1", claim);
      await acquire("t", "a", claim);
      await acquire("t", "b", claim);
      expect(await other().semaphores.release("t", "a", claim)).toBe("released");
      expect(await other().semaphores.release("t", "a", claim)).toBe("not-held");
      expect(await owners("t")).toEqual(["b"]);
      expect(await acquire("t", "c", claim)).toBe("acquired");
      expect(await owners("s")).toEqual(["a"]);
    });

    test("S5: the last permit takes the semaphore with it, and another limit may follow", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 1, "a:1", claim);
      await acquire("s", "a", claim);
      await store().semaphores.release("s", "a", claim);
      expect(await acquire("s", "a", claim)).toBe("missing");
      expect(await store().log.read("__hedge/semaphore/s", -1)).toEqual([]);
      expect(await store().semaphores.create("s", 5, "a:1", claim)).toEqual({ kind: "ready" });
      expect(await acquire("s", "a", claim)).toBe("acquired");
    });

    test("semaphores of similar names, and an owner of several, do not mix", async () => {
      const claim = await fence();
      const names = ["s", "s/t", "st", "S", "s%"];
      for (const name of names) {
        await store().semaphores.create(name, 1, "a:1", claim);
        expect(await acquire(name, "a", claim)).toBe("acquired");
      }
      await store().semaphores.release("s", "a", claim);
      for (const name of names) expect(await owners(name)).toEqual(name === "s" ? [] : ["a"]);
    });

    test("a permit counts only where the Go system's layout has it", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 1, "a:1", claim);
      // Somebody's own entry, whose id is the semaphore's key.
      const entry = { key: "mine", id: "__hedge/semaphore/s", value: "v", leader: "a:1" };
      await store().log.append([entry], null);
      expect(await owners("s")).toEqual([]);
      expect(await acquire("s", "a", claim)).toBe("acquired");
    });

    test("rows are those of the Go system", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 4, "10.0.0.1:8080", claim);
      const own = { key: "__hedge/semaphore/s", id: "limit=4" };
      expect(await other().log.read("__hedge/semaphore/s", -1)).toMatchObject([
        { ...own, value: "10.0.0.1:8080", leader: "10.0.0.1:8080" },
      ]);
      await acquire("s", "10.0.0.7:8080", claim);
      expect(await other().log.read("__hedge/semaphore/s", -1)).toMatchObject([
        { ...own, value: "delete-on-empty" },
      ]);
      const [row] = await other().log.read("__caller=10.0.0.7:8080", -1);
      expect(row?.id).toBe("__hedge/semaphore/s");
      expect(JSON.parse(row?.value as string)).toEqual(permit("10.0.0.7:8080"));
    });

    test("a permit's row as the Go system writes it is understood", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 1, "a:1", claim);
      const row = {
        key: "__caller=10.0.0.9:8080",
        id: "__hedge/semaphore/s",
        value: "10.0.0.9:8080",
        leader: "10.0.0.9:8080",
      };
      await store().log.append([row], null);
      expect(await other().semaphores.permits("s")).toEqual([
        { owner: "10.0.0.9:8080", holder: "10.0.0.9:8080", incarnation: 0 },
      ]);
      expect(await acquire("s", "a", claim)).toBe("full");
      expect(await store().semaphores.release("s", "10.0.0.9:8080", claim)).toBe("released");
    });

    test("C5: nothing is written under another token than the lock's", async () => {
      const claim = await fence();
      await store().semaphores.create("s", 2, "a:1", claim);
      await acquire("s", "a", claim);
      const stale = { ...claim, token: claim.token - 1 };
      await expectCode(store().semaphores.create("t", 1, "a:1", stale), "fenced");
      await expectCode(acquire("s", "b", stale), "fenced");
      await expectCode(store().semaphores.release("s", "a", stale), "fenced");
      expect(await owners("s")).toEqual(["a"]);
      expect(await acquire("t", "a", claim)).toBe("missing");
    });
  });
}
