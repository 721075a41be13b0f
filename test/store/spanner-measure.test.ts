import { expect, test } from "bun:test";
import { systemClock } from "../../src/runtime/system.ts";
import { measure } from "../../src/store/spanner/measure.ts";

const START_MS = Date.parse("2026-11-21T00:00:00Z");

/** A database whose clock is ahead by so much, half a round trip away. */
function measured(aheadMs: number, halfTripMs: number) {
  let nowMs = 5_000;
  const clock = {
    ...systemClock(),
    now: () => nowMs,
    wallMicros: () => (START_MS + nowMs) * 1_000,
  };
  const connection = {
    database: "x",
    query: async () => {
      nowMs += halfTripMs;
      const time = new Date(START_MS + nowMs + aheadMs).toISOString();
      nowMs += halfTripMs;
      return [[{ stringValue: time }]];
    },
  };
  return measure(connection, clock);
}

test.each([0, 1_500, -250, 3_600_000])("a clock that is %d ms ahead", async (aheadMs) => {
  expect(await measured(aheadMs, 40)).toEqual({ roundTripMs: 80, aheadMs });
});
