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

test.skipIf(process.platform !== "linux")(
  "unpacking what other nodes keep packed leaves no garbage to pile up beside a store's memory",
  () => {
    const child = join(import.meta.dir, "children", "unpack-much.ts");
    const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, child, "100", "128"]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
    const { grownMb } = JSON.parse(stdout.toString()) as { grownMb: number };
    expect(grownMb).toBeLessThan(50); // of 280 that it would be
  },
  30_000,
);
