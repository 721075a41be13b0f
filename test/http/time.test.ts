import { expect, test } from "bun:test";
import { goTime, rfc3339, rfc3339Micros } from "../../src/http/time.ts";

const micros = (iso: string, fraction = 0) => Date.parse(iso) * 1000 + fraction;

// Go: Time.String without a monotonic reading, and Format(time.RFC3339).
const VECTORS: [number, string, string][] = [
  [
    micros("2025-01-02T03:04:05Z", 123_456),
    "2025-01-02 03:04:05.123456 +0000 UTC",
    "2025-01-02T03:04:05Z",
  ],
  [
    micros("2025-01-02T03:04:05Z", 120_000),
    "2025-01-02 03:04:05.12 +0000 UTC",
    "2025-01-02T03:04:05Z",
  ],
  [micros("2025-01-02T03:04:05Z"), "2025-01-02 03:04:05 +0000 UTC", "2025-01-02T03:04:05Z"],
  [
    micros("2025-01-02T03:04:05Z", 1),
    "2025-01-02 03:04:05.000001 +0000 UTC",
    "2025-01-02T03:04:05Z",
  ],
  [
    micros("2025-12-31T23:59:59Z", 999_999),
    "2025-12-31 23:59:59.999999 +0000 UTC",
    "2025-12-31T23:59:59Z",
  ],
  [
    micros("2024-02-29T00:00:00Z", 100_000),
    "2024-02-29 00:00:00.1 +0000 UTC",
    "2024-02-29T00:00:00Z",
  ],
  [0, "1970-01-01 00:00:00 +0000 UTC", "1970-01-01T00:00:00Z"],
  [-1, "1969-12-31 23:59:59.999999 +0000 UTC", "1969-12-31T23:59:59Z"],
];

test.each(VECTORS)("%d is printed as Go prints it", (at, printed, short) => {
  expect(goTime(at)).toBe(printed);
  expect(rfc3339(at)).toBe(short);
});

test("microseconds in RFC 3339 end without zeros", () => {
  expect(rfc3339Micros(micros("2025-01-02T03:04:05Z", 123_400))).toBe("2025-01-02T03:04:05.1234Z");
  expect(rfc3339Micros(micros("2025-01-02T03:04:05Z"))).toBe("2025-01-02T03:04:05Z");
});
