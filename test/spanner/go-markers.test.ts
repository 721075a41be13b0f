import { expect, test } from "bun:test";
import { markerSuffix } from "../../src/store/markers.ts";
import { goMarkerSuffix, goTime } from "./go-contender.ts";

test("the tests' contender names markers as the Go system is known to", () => {
  expect(goMarkerSuffix("2025-01-02T03:04:05.123456Z")).toBe("10421133356497209798");
  expect(goMarkerSuffix("2025-01-02T03:04:05.12Z")).toBe("11031515266332810941");
  expect(goMarkerSuffix("2025-01-02T03:04:05Z")).toBe("6658134180344726012");
  expect(goMarkerSuffix("")).toBe("17241709254077376921");
});

test("of any token it makes the same as ours", () => {
  const second = Date.UTC(2025, 0, 2, 3, 4, 50) * 1_000;
  for (const fraction of [0, 1, 10, 1_001, 100_000, 500_000, 909_090, 999_999]) {
    const micros = String(fraction).padStart(6, "0");
    const asSpanner = `2025-01-02T03:04:50.${micros}000Z`;
    expect(goMarkerSuffix(goTime(asSpanner))).toBe(markerSuffix(second + fraction));
  }
  expect(goMarkerSuffix("")).toBe(markerSuffix(null));
});
