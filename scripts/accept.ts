// The process tests in their long versions: `bun scripts/accept.ts [faults | members]`, all of them, about half an hour on
// two cores, or those of the faults or of membership alone. As root, or the tests that need network namespaces and file systems say that they
// are skipped.
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const PARTS: Readonly<Record<string, string>> = {
  all: "test/cluster",
  faults: "test/cluster/faults",
  members: "test/cluster/members",
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
run("test", tests);
