import { expect, test } from "bun:test";
import { lockRowName, namedRowName } from "../../src/lock/row-name.ts";
import { markerName } from "../../src/store/markers.ts";

test("a named lock's row is the bare name, a node's own has the Go system's prefix", () => {
  expect(namedRowName("demo")).toBe("demo");
  expect(lockRowName("demo")).toBe("hedge/spindle/lockname/demo");
});

test("no name that is taken is the row or a marker of another lock", () => {
  for (const row of [
    lockRowName("demo"),
    "hedge/spindle/",
    markerName("demo", 1_735_787_045_123_456),
  ])
    expect(() => namedRowName(row)).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  for (const name of ["demo_", "demo_1a", "demo-1", "1", "hedge/spindl", "demo_１", "demo_1\n"])
    expect(namedRowName(name)).toBe(name);
});

test("each refusal is one line that says what to do", () => {
  for (const name of ["hedge/spindle/a", "demo_1", ""]) {
    try {
      namedRowName(name);
      throw new Error("not refused");
    } catch (error) {
      expect((error as Error).message).toMatch(/^lock name.*: [a-z ]+/);
    }
  }
});
