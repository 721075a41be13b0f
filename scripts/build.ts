// Builds the binary: `bun scripts/build.ts [--unprotected | --without-spanner | --all] [--if-stale]`.
// `--unprotected` builds the control binary of the tests, whose fence and deadline checks are off;
// `--without-spanner` that of the benchmarks, which tells what the Spanner client in the binary costs others;
// `--all` all but that one.
import { rmSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { BunPlugin } from "bun";
import { version } from "../package.json";

const root = join(import.meta.dir, "..");

interface Binary {
  readonly name: string;
  readonly define: Readonly<Record<string, string>>;
  readonly plugins?: readonly BunPlugin[];
}

/**
 * The message classes of the Spanner client: nothing uses them at run time (its clients encode by the JSON
 * form beside them), and compiling their 1.7 MB to bytecode aborts the compiler of Bun 1.4.5.
 */
const WITHOUT_MESSAGE_CLASSES: BunPlugin = {
  name: "without the Spanner client's message classes",
  setup(builder) {
    const filter = /spanner-api[/\\]build[/\\]protos[/\\]protos\.js$/;
    builder.onLoad({ filter }, () => ({ contents: "module.exports = {};", loader: "js" }));
  },
};

/** Leaves out what is imported for Spanner alone. */
const WITHOUT_SPANNER_CLIENT: BunPlugin = {
  name: "without the Spanner client",
  setup(builder) {
    const filter = /^@google-cloud\/spanner\/|^@grpc\/grpc-js$|\/spanner\/open\.ts$/;
    builder.onResolve({ filter }, ({ path }) => ({ path, namespace: "absent" }));
    builder.onLoad({ filter, namespace: "absent" }, () => ({
      contents: "module.exports = {};",
      loader: "js",
    }));
  },
};

const PROTECTED: Binary = { name: "hedgerow", define: { HEDGEROW_UNPROTECTED: "false" } };
const UNPROTECTED: Binary = {
  name: "hedgerow-unprotected",
  define: { HEDGEROW_UNPROTECTED: "true" },
};
const WITHOUT_SPANNER: Binary = {
  ...PROTECTED,
  name: "hedgerow-without-spanner",
  plugins: [WITHOUT_SPANNER_CLIENT],
};

/** Path of a binary that `scripts/build.ts` makes. */
function binaryPath(binary: Binary): string {
  return join(root, "dist", binary.name);
}

/** How much more reluctant the JIT is during the start than later: main.ts ends that. */
const JIT_RELUCTANCE = 32;
const START_DEADLINE_MS = 20_000;

/** Of the functions that a start of `serve` uses; in the folder, which is empty. Gives the profile's path. */
async function profileOfStart(folder: string): Promise<string> {
  const outfile = join(folder, "hedgerow");
  await compile(PROTECTED, outfile, null);
  const profile = join(folder, "start.order");
  const anyPort = "127.0.0.1:0";
  const node = Bun.spawn(
    [outfile, "serve", "--peer-addr", anyPort, "--http-addr", anyPort, "--log-format", "json"],
    {
      cwd: folder,
      env: { BUN_BYTECODE_ORDER_OUT: profile },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      timeout: START_DEADLINE_MS,
    },
  );
  let log = "";
  const decoder = new TextDecoder();
  for await (const chunk of node.stderr) {
    log += decoder.decode(chunk, { stream: true });
    if (log.includes('"leading"')) node.kill("SIGTERM"); // the profile is written at its end
  }
  if ((await node.exited) !== 0) throw new Error(`the binary does not start:\n${log}`);
  return profile;
}

async function build(binary: Binary, profile: string): Promise<void> {
  const started = Bun.nanoseconds();
  await compile(binary, binaryPath(binary), profile);
  removeMaps();
  const seconds = ((Bun.nanoseconds() - started) / 1e9).toFixed(1);
  const megabytes = Math.round(statSync(binaryPath(binary)).size / 1e6);
  console.log(`dist/${binary.name}: ${megabytes} MB in ${seconds} s`);
}

async function compile(binary: Binary, outfile: string, profile: string | null): Promise<void> {
  await Bun.build({
    entrypoints: [join(root, "src/main.ts")],
    target: "bun",
    // Bytecode starts in a third of the time that source takes, and needs this format.
    format: "esm",
    bytecode: true,
    // What is imported later is evaluated later, and each command loads its own part.
    splitting: true,
    minify: true,
    // Stack traces name our own files and lines.
    sourcemap: "linked",
    plugins: [WITHOUT_MESSAGE_CLASSES, ...(binary.plugins ?? [])],
    define: { ...binary.define, HEDGEROW_VERSION: JSON.stringify(version) },
    compile: {
      outfile,
      // What a start uses lies together: it reads and decodes less.
      bytecodeOrder: profile,
      // Most of what a start runs it runs for the last time: compiling that costs 4 MB.
      jitPolicy: JIT_RELUCTANCE,
      // What lies in the folder where the binary is run must not change what it does.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  });
}

/** The binary holds them: those beside it, of this build and former ones, serve nobody. */
function removeMaps(): void {
  const folder = join(root, "dist");
  for (const name of new Bun.Glob("{chunk-*.js,hedgerow*}.map").scanSync(folder))
    rmSync(join(folder, name), { force: true });
}

/** Whether anything that goes into the binary is newer than it, or it does not exist. */
async function isStale(binary: Binary): Promise<boolean> {
  const built = statSync(binaryPath(binary), { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return true;
  const sources = await Array.fromAsync(new Bun.Glob("src/**/*").scan(root));
  const settings = ["package.json", "bun.lock", "tsconfig.json", "scripts/build.ts"];
  return [...sources, ...settings].some((path) => statSync(join(root, path)).mtimeMs > built);
}

const { values: flags } = parseArgs({
  options: {
    unprotected: { type: "boolean", default: false },
    "without-spanner": { type: "boolean", default: false },
    all: { type: "boolean", default: false },
    "if-stale": { type: "boolean", default: false },
  },
});

function wanted(): Binary[] {
  if (flags.all) return [PROTECTED, UNPROTECTED];
  if (flags["without-spanner"]) return [WITHOUT_SPANNER];
  return [flags.unprotected ? UNPROTECTED : PROTECTED];
}

const stale: Binary[] = [];
for (const binary of wanted()) {
  if (!flags["if-stale"] || (await isStale(binary))) stale.push(binary);
}
if (stale.length > 0) {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-build-"));
  try {
    const profile = await profileOfStart(folder);
    for (const binary of stale) await build(binary, profile);
  } finally {
    await rm(folder, { recursive: true });
  }
}
