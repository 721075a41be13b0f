import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checkLinearizable, type Model, type Operation } from "./linearizable.ts";

type RegisterCall = { readonly write: number } | { readonly read: number };

const REGISTER: Model<number, RegisterCall> = {
  initial: 0,
  key: (value) => value,
  step: (value, call) => {
    if ("write" in call) return call.write;
    return call.read === value ? value : null;
  },
};

const from = (startedAt: number, endedAt: number | null, call: RegisterCall) => {
  return { call, startedAt, endedAt };
};

describe("a register", () => {
  const kind = (...operations: Operation<RegisterCall>[]) =>
    checkLinearizable(REGISTER, operations).kind;

  test("calls one after another", () => {
    expect(kind(from(0, 1, { write: 1 }), from(2, 3, { read: 1 }))).toBe("linearizable");
    expect(kind(from(0, 1, { write: 1 }), from(2, 3, { read: 0 }))).toBe("violated");
  });

  test("a read that overlaps a write sees it or does not, but no later read goes back", () => {
    const write = from(0, 10, { write: 1 });
    expect(kind(write, from(1, 2, { read: 0 }), from(3, 4, { read: 1 }))).toBe("linearizable");
    expect(kind(write, from(1, 2, { read: 1 }), from(3, 4, { read: 0 }))).toBe("violated");
    expect(kind(write, from(1, 3, { read: 1 }), from(2, 4, { read: 0 }))).toBe("linearizable");
  });

  test("an open write is done at any time after its start, or never", () => {
    const open = from(0, null, { write: 1 });
    expect(kind(open, from(50, 60, { read: 0 }))).toBe("linearizable");
    expect(kind(open, from(50, 60, { read: 0 }), from(70, 80, { read: 1 }))).toBe("linearizable");
    expect(kind(open, from(50, 60, { read: 1 }), from(70, 80, { read: 0 }))).toBe("violated");
    expect(kind(from(55, null, { write: 1 }), from(50, 54, { read: 1 }))).toBe("violated");
  });

  test("what ends in the moment in which another starts overlaps it", () => {
    expect(kind(from(0, 5, { read: 1 }), from(5, 9, { write: 1 }))).toBe("linearizable");
  });

  test("says how far it came", () => {
    const verdict = checkLinearizable(REGISTER, [
      from(0, 1, { write: 1 }),
      from(2, 3, { write: 2 }),
      from(4, 5, { read: 1 }),
    ]);
    expect(verdict).toEqual({
      kind: "violated",
      order: [{ write: 1 }, { write: 2 }],
      stuck: { read: 1 },
    });
  });

  test("gives up after the steps that it is given", () => {
    const writes = Array.from({ length: 12 }, (_, i) => from(0, 100, { write: i + 1 }));
    const verdict = checkLinearizable(REGISTER, [...writes, from(200, 201, { read: 0 })], 1_000);
    expect(verdict).toEqual({ kind: "undecided", steps: 1_000 });
  });
});

/** The slow, obvious version: some order of the calls, with or without each of the open ones. */
function hasOrder(operations: readonly Operation<RegisterCall>[], value = 0): boolean {
  if (operations.every(({ endedAt }) => endedAt === null)) return true;
  return operations.some((first, i) => {
    const others = operations.filter((_, j) => j !== i);
    const mayBeFirst = others.every(({ endedAt }) => (endedAt ?? Infinity) >= first.startedAt);
    const after = REGISTER.step(value, first.call, first.endedAt === null);
    return mayBeFirst && after !== null && hasOrder(others, after);
  });
}

test("finds an order where there is one, and only there", () => {
  const call = fc.oneof(
    fc.record({ write: fc.integer({ min: 1, max: 2 }) }),
    fc.record({ read: fc.integer({ min: 0, max: 2 }) }),
  );
  const operation = fc
    .tuple(call, fc.integer({ min: 0, max: 12 }), fc.option(fc.integer({ min: 0, max: 6 })))
    .map(([made, startedAt, lasts]) =>
      from(startedAt, lasts === null ? null : startedAt + lasts, made),
    );
  const kinds = { linearizable: 0, violated: 0, undecided: 0 };
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 6 }), (operations) => {
      const { kind } = checkLinearizable(REGISTER, operations);
      kinds[kind]++;
      expect(kind).toBe(hasOrder(operations) ? "linearizable" : "violated");
    }),
    { numRuns: 2_000 },
  );
  expect(Math.min(kinds.linearizable, kinds.violated)).toBeGreaterThan(100);
});
