import { expect, test } from "bun:test";
import { join } from "node:path";
import { Folder } from "./kit.ts";

/** Long versions: `bun run accept`. */
const LONG = process.env.HEDGEROW_LONG === "1";
const MEMORY_MB = 32;

test.skipIf(process.platform !== "linux")(
  "reading what was spilled to disk takes less than 100 MB of anonymous memory beside the store's own",
  () => {
    using folder = new Folder();
    const child = join(import.meta.dir, "children", "read-much.ts");
    const totalMb = LONG ? 4_000 : 400;
    const { stdout, stderr, exitCode } = Bun.spawnSync([
      process.execPath,
      child,
      String(totalMb),
      String(MEMORY_MB),
      folder.path,
    ]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    const { grownMb } = JSON.parse(stdout.toString()) as { grownMb: number };
    expect(grownMb).toBeLessThan(MEMORY_MB + 100);
  },
  LONG ? 300_000 : 30_000,
);

for (const compression of ["none", "zstd"]) {
  test.skipIf(process.platform !== "linux")(
    `what is fetched from other nodes leaves no garbage to pile up beside a store's memory, compression ${compression}`,
    () => {
      const child = join(import.meta.dir, "children", "fetch-much.ts");
      const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, child, compression]);
      expect([exitCode, stderr.toString()]).toEqual([0, ""]);
      // Hundreds, if it were left to the collector.
      const { grownMb, withSingleMb } = JSON.parse(stdout.toString()) as Record<string, number>;
      expect(grownMb).toBeLessThan(80);
      expect(withSingleMb).toBeLessThan(80);
    },
    90_000,
  );
}
