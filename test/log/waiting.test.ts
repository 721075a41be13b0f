import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Waiting, WaitingPuts } from "../../src/log/waiting.ts";

const LIMITS = { batchEntries: 5, batchBytes: 100 };

function waiting(key: string, id: number, bytes: number, deadline: number): Waiting {
  const entry = { key, id: `${id}`, value: "", leader: "a:1" };
  return { entry, bytes, deadline, resolve: () => {}, reject: () => {} };
}

const queue = fc
  .array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.nat(120), fc.constantFrom(0, 10)))
  .map((items) => items.map(([key, bytes, deadline], i) => waiting(key, i, bytes, deadline)));

/** Cuts batches until nobody waits; `now` is 5 throughout. */
function drain(items: readonly Waiting[]) {
  const puts = new WaitingPuts();
  for (const item of items) puts.push(item);
  const batches: Waiting[][] = [];
  const expired: Waiting[] = [];
  while (puts.size > 0) {
    const before = puts.size;
    const cut = puts.take(5, LIMITS);
    batches.push(cut.batch);
    expired.push(...cut.expired);
    expect(puts.size).toBe(before - cut.batch.length - cut.expired.length);
    expect(puts.size).toBeLessThan(before);
  }
  expect(puts.bytes).toBe(0);
  return { batches, expired };
}

test("batches lose nobody, keep each key's order, and stay within their limits", () => {
  fc.assert(
    fc.property(queue, (items) => {
      const { batches, expired } = drain(items);
      const written = batches.flat();
      expect(new Set([...written, ...expired])).toEqual(new Set(items));
      expect(written.length + expired.length).toBe(items.length);
      expect(expired.every(({ deadline }) => deadline === 0)).toBe(true);
      for (const batch of batches) {
        const keys = batch.map(({ entry }) => entry.key);
        expect(new Set(keys).size).toBe(keys.length);
        expect(batch.length).toBeLessThanOrEqual(LIMITS.batchEntries);
        const bytes = batch.reduce((sum, item) => sum + item.bytes, 0);
        expect(bytes <= LIMITS.batchBytes || batch.length === 1).toBe(true);
      }
      for (const key of ["a", "b", "c", "d"]) {
        const ids = written.filter(({ entry }) => entry.key === key).map(({ entry }) => +entry.id);
        expect(ids).toEqual([...ids].sort((a, b) => a - b));
      }
    }),
  );
});

test("keys take turns: a hot key holds no other one up", () => {
  const hot = Array.from({ length: 50 }, (_, i) => waiting("hot", i, 1, 10));
  const { batches } = drain([...hot, waiting("cold", 50, 1, 10)]);
  expect(batches[0]?.map(({ entry }) => entry.key)).toEqual(["hot", "cold"]);
});

test("a batch costs what it holds, not what waits behind it", () => {
  const COUNT = 5_000;
  const puts = new WaitingPuts();
  let looks = 0;
  for (let i = 0; i < COUNT; i++) {
    const { entry, deadline, ...others } = waiting("hot", i, 1, 10);
    const counted = (value: unknown) => ({
      get() {
        looks++;
        return value;
      },
    });
    const item = Object.defineProperties(others, {
      entry: counted(entry),
      deadline: counted(deadline),
    });
    puts.push(item as Waiting);
  }
  for (let i = 0; i < COUNT; i++) expect(puts.take(5, LIMITS).batch[0]?.entry.id).toBe(`${i}`);
  expect(looks).toBeWithin(COUNT, 20 * COUNT);
});
