// The process tests in their long versions: `bun scripts/accept.ts [faults | members | spill | streams]`, all of them, about
// half an hour on two cores, or those of one part alone. As root, or the tests that need network namespaces and file systems
// say that they are skipped.
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const PARTS: Readonly<Record<string, readonly string[]>> = {
  all: ["test/cluster", "test/spill/memory.test.ts"],
  faults: ["test/cluster/faults"],
  members: ["test/cluster/members"],
  spill: ["test/cluster/spill.test.ts", "test/spill/memory.test.ts"],
  streams: ["test/cluster/streams.test.ts", "test/cluster/unread.test.ts"],
};

/** Ends this process if the command fails. */
function run(...words: string[]): void {
  const { exitCode } = Bun.spawnSync([process.execPath, ...words], {
    cwd: root,
    env: { ...process.env, HEDGEROW_LONG: "1" },
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (exitCode !== 0) process.exit(exitCode ?? 1);
}

const [part = "all", ...others] = process.argv.slice(2);
const tests = PARTS[part];
if (tests === undefined || others.length > 0) {
  console.error(`bun scripts/accept.ts [${Object.keys(PARTS).join(" | ")}]`);
  process.exit(2);
}
run("scripts/build.ts", "--all", "--if-stale");
run("test", ...tests);
