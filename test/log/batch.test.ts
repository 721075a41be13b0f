import { expect, test } from "bun:test";
import fc from "fast-check";
import { takeBatch, type Waiting } from "../../src/log/batch.ts";

const LIMITS = { batchEntries: 5, batchBytes: 100 };

function waiting(key: string, id: number, bytes: number, deadline: number): Waiting {
  const entry = { key, id: `${id}`, value: "", leader: "a:1" };
  return { entry, bytes, deadline, resolve: () => {}, reject: () => {} };
}

const queue = fc
  .array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.nat(120), fc.constantFrom(0, 10)))
  .map((items) => items.map(([key, bytes, deadline], i) => waiting(key, i, bytes, deadline)));

test("a batch loses nobody, keeps each key's order, and stays within its limits", () => {
  fc.assert(
    fc.property(queue, (items) => {
      const { batch, rest, expired } = takeBatch(items, 5, LIMITS);
      expect(new Set([...batch, ...rest, ...expired])).toEqual(new Set(items));
      expect(batch.length + rest.length + expired.length).toBe(items.length);
      expect(expired.every(({ deadline }) => deadline === 0)).toBe(true);
      const keys = batch.map(({ entry }) => entry.key);
      expect(new Set(keys).size).toBe(keys.length);
      expect(batch.length).toBeLessThanOrEqual(LIMITS.batchEntries);
      const bytes = batch.reduce((sum, item) => sum + item.bytes, 0);
      expect(bytes <= LIMITS.batchBytes || batch.length === 1).toBe(true);
      for (const key of keys) {
        const position = (item: Waiting) => items.indexOf(item);
        const taken = batch.filter(({ entry }) => entry.key === key).map(position);
        const left = rest.filter(({ entry }) => entry.key === key).map(position);
        expect(Math.max(...taken)).toBeLessThan(Math.min(Infinity, ...left));
      }
    }),
  );
});

test("a batch makes progress whenever somebody waits", () => {
  fc.assert(
    fc.property(queue, (items) => {
      const { batch, rest } = takeBatch(items, 5, LIMITS);
      expect(batch.length > 0 || rest.length === 0).toBe(true);
    }),
  );
});
