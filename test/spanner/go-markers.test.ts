import { expect, test } from "bun:test";
import { markerName, markerSuffix } from "../../src/store/markers.ts";
import { goMarkerSuffix, goTime } from "./go-contender.ts";

const SECOND = Date.UTC(2025, 0, 2, 3, 4, 5) * 1_000;

/** Known of the Go system: what it hashes, and the suffix. */
const VECTORS: readonly (readonly [string, number | null, string])[] = [
  ["2025-01-02T03:04:05.123456Z", SECOND + 123_456, "10421133356497209798"],
  ["2025-01-02T03:04:05.12Z", SECOND + 120_000, "11031515266332810941"],
  ["2025-01-02T03:04:05Z", SECOND, "6658134180344726012"],
  ["", null, "17241709254077376921"],
];

test("a marker's suffix is the one that the Go system gives it", () => {
  for (const [text, micros, suffix] of VECTORS) {
    expect(markerSuffix(micros)).toBe(suffix);
    expect(markerName("hedge/spindle/lockname/demo", micros)).toBe(
      `hedge/spindle/lockname/demo_${suffix}`,
    );
    // So that the tests' contender is held to the same.
    expect(goMarkerSuffix(text)).toBe(suffix);
  }
});

test("of any token both make the same of it", () => {
  const tokens = [1, 10, 1_000, 100_000, 999_999, 500_000, 1_001, 909_090].map((n) => SECOND + n);
  for (const token of tokens) {
    const micros = String(token % 1_000_000).padStart(6, "0");
    const asSpanner = `${new Date(token / 1_000).toISOString().slice(0, 19)}.${micros}000Z`;
    expect(markerSuffix(token)).toBe(goMarkerSuffix(goTime(asSpanner)));
  }
});
