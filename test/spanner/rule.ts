import { afterAll, beforeAll, describe } from "bun:test";
import { sharedEmulator, stopSharedEmulator } from "./emulator.ts";
import { findBinary, findEmulator } from "./find.ts";

/**
 * Of a test whose steps must come within a lease of real time. Where the machine stalls for as long it shows nothing,
 * and is run again.
 */
export const IN_REAL_TIME = { timeout: 90_000, retry: 3 };

/**
 * Tests against the Spanner emulator. Where none is installed they are skipped, and one line on stderr says
 * why; where one is, they run, and its failure to start is theirs. Within, `sharedEmulator` and
 * `freshDatabase` may be used.
 */
export function describeWithEmulator(name: string, tests: () => void): void {
  describeUnlessMissing(name, findEmulator(), () => {
    // Not in a test: what that starts ends with it, should it take too long.
    beforeAll(async () => void (await sharedEmulator()));
    tests();
    // In this order it ends after what they end themselves.
    afterAll(stopSharedEmulator);
  });
}

/** Tests that start emulators of their own, with `startEmulator`, whatever SPANNER_EMULATOR_HOST says. */
export function describeWithOwnEmulator(name: string, tests: () => void): void {
  describeUnlessMissing(name, findBinary(), tests);
}

function describeUnlessMissing(name: string, found: object, tests: () => void): void {
  if ("missing" in found) {
    process.stderr.write(`SKIPPED: ${name}: ${found.missing}\n`);
    describe.skip(name, tests);
  } else {
    describe(name, tests);
  }
}
