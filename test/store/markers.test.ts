import { expect, test } from "bun:test";
import { markerName, markerSuffix } from "../../src/store/markers.ts";

/** Tokens, and what the Go system makes of them. */
const VECTORS: readonly [token: number | null, suffix: string][] = [
  [Date.UTC(2025, 0, 2, 3, 4, 5) * 1_000 + 123_456, "10421133356497209798"],
  [Date.UTC(2025, 0, 2, 3, 4, 5) * 1_000 + 120_000, "11031515266332810941"],
  [Date.UTC(2025, 0, 2, 3, 4, 5) * 1_000, "6658134180344726012"],
  [null, "17241709254077376921"],
];

test("a marker is named after the judged token, as the Go system names it", () => {
  for (const [token, suffix] of VECTORS) {
    expect(markerSuffix(token)).toBe(suffix);
    expect(markerName("hedge/spindle/lockname/demo", token)).toBe(
      `hedge/spindle/lockname/demo_${suffix}`,
    );
  }
});

test("the token's text has no trailing zeros, but keeps those of whole seconds and leading ones", () => {
  const hash = (text: string) => Bun.hash.xxHash64(text, 0n).toString();
  const second = Date.UTC(2025, 0, 2, 3, 4, 50) * 1_000;
  expect(markerSuffix(second)).toBe(hash("2025-01-02T03:04:50Z"));
  expect(markerSuffix(second + 7)).toBe(hash("2025-01-02T03:04:50.000007Z"));
  expect(markerSuffix(second + 500_000)).toBe(hash("2025-01-02T03:04:50.5Z"));
  expect(markerSuffix(Date.UTC(2025, 9, 10) * 1_000)).toBe(hash("2025-10-10T00:00:00Z"));
  // A row without a token, which Go reads as its zero time.
  expect(markerSuffix(0)).toBe(hash("0001-01-01T00:00:00Z"));
});
