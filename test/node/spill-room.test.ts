import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { warnOfMemory } from "../../src/node/spill-room.ts";
import { silentLogger } from "../../src/observe/logger.ts";

/** A tmpfs of nearly every Linux. */
const SHARED_MEMORY = "/dev/shm";
const hasIt = process.platform === "linux" && existsSync(SHARED_MEMORY);

async function warnings(folder: string, diskBytes: number): Promise<number> {
  let said = 0;
  await warnOfMemory({ folder, diskBytes }, { ...silentLogger, warn: () => said++ });
  return said;
}

test.skipIf(!hasIt)(
  `a spill folder in memory is warned of once, unless nothing may go there${hasIt ? "" : " (skipped: no /dev/shm)"}`,
  async () => {
    expect(await warnings(SHARED_MEMORY, 1)).toBe(1);
    expect(await warnings(SHARED_MEMORY, 0)).toBe(0);
  },
);

test("a folder of another kind, or none, is not warned of", async () => {
  expect(await warnings("/proc", 1)).toBe(0);
  expect(await warnings(`${tmpdir()}/hedgerow-nowhere`, 1)).toBe(0);
});
