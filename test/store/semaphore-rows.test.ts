import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Permit } from "../../src/store/ports.ts";
import { decodePermit, decodeRows, permitRow } from "../../src/store/semaphore-rows.ts";

const permit: fc.Arbitrary<Permit> = fc.record({
  owner: fc.string({ minLength: 1 }),
  holder: fc.string({ minLength: 1 }),
  incarnation: fc.maxSafeNat(),
  grant: fc.string({ minLength: 1 }),
  detached: fc.boolean(),
});

test("a permit's row is read as it was written", () => {
  fc.assert(
    fc.property(permit, (given) => {
      const { key, value } = permitRow("s", given);
      expect(decodePermit(key, value)).toEqual(given);
    }),
  );
});

/** Values of rows that others wrote: text, JSON of any kind, and JSON that is nearly ours. */
const value = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .record(
      {
        holder: fc.jsonValue(),
        incarnation: fc.jsonValue(),
        grant: fc.jsonValue(),
        detached: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    .map((fields) => JSON.stringify(fields)),
);

test("whatever a row's value is, it is a permit of the owner that the key names", () => {
  fc.assert(
    fc.property(fc.string(), value, (owner, text) => {
      const read = decodePermit(`__caller=${owner}`, text);
      expect(read.owner).toBe(owner);
      expect(typeof read.holder).toBe("string");
      expect(typeof read.grant).toBe("string");
      expect(typeof read.detached).toBe("boolean");
      expect(Number.isSafeInteger(read.incarnation) && read.incarnation >= 0).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test("rows of other kinds are passed over", () => {
  const own = "__hedge/semaphore/s";
  const rows = [
    { key: own, id: "limit=x", value: "v" },
    { key: own, id: "limit=0", value: "v" },
    { key: own, id: "limit=-1", value: "v" },
    { key: own, id: "01ABC", value: "v" },
    { key: own, id: "limit=3", value: "delete-on-empty" },
    { key: own, id: "limit=4", value: "creator" },
    { key: "__caller=a", id: "__hedge/semaphore/other", value: "a" },
    { key: "mine", id: own, value: "v" },
    { key: "__caller=a", id: own, value: "a" },
  ];
  const { limit, permits } = decodeRows("s", rows);
  expect(limit).toEqual({ limit: 3, row: { key: own, id: "limit=3" }, deleteOnEmpty: true });
  expect(permits.map(({ owner }) => owner)).toEqual(["a"]);
});
