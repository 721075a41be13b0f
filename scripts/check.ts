// All that must hold before a change goes in: `bun run check [STEP...]`. Every step runs, also after
// one has failed; the exit code is 1 if any did.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const bin = (name: string) => join(root, "node_modules/.bin", name);

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

async function run(command: readonly string[]): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { ok: exitCode === 0, output: stdout + stderr };
}

/** The committed code under src/gen is exactly what the generators make of proto/. */
async function checkGenerated(): Promise<Outcome> {
  const fresh = await mkdtemp(join(tmpdir(), "hedgerow-generated-"));
  try {
    const generated = await run([bin("buf"), "generate", "--output", fresh]);
    if (!generated.ok) return generated;
    const compared = await run(["diff", "-ru", join(fresh, "src/gen"), join(root, "src/gen")]);
    if (compared.ok) return compared;
    return { ok: false, output: `${compared.output}mend: bun run generate\n` };
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

const STEPS: Readonly<Record<string, () => Promise<Outcome>>> = {
  // --no-script: bun's own command, not the script of the same name that is running here.
  types: () => run([process.execPath, "check", "--no-script"]),
  format: () => run([process.execPath, "fmt", "--no-script", "--check"]),
  lint: () => run([bin("biome"), "lint", "--error-on-warnings"]),
  proto: () => run([bin("buf"), "lint"]),
  generated: checkGenerated,
  // Import direction, banned globals, file length, exact dependencies.
  house: () => run([process.execPath, "test", "test/house"]),
  tests: () => run([process.execPath, "run", "test"]),
};

async function main(wanted: readonly string[]): Promise<boolean> {
  const unknown = wanted.find((name) => !Object.hasOwn(STEPS, name));
  if (unknown !== undefined) {
    const steps = Object.keys(STEPS).join(", ");
    console.error(`${unknown} is no step: choose of ${steps} (types alone: bun check --no-script)`);
    return false;
  }
  let ok = true;
  for (const [name, step] of Object.entries(STEPS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const started = performance.now();
    const outcome = await step();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (!outcome.ok) process.stdout.write(outcome.output);
    console.log(`${outcome.ok ? "ok    " : "FAILED"} ${name.padEnd(10)} ${seconds} s`);
    ok &&= outcome.ok;
  }
  return ok;
}

process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1;
