// Builds what the package exports as `hedgerow/client` for Node and browsers: plain JavaScript in one file, and
// declarations. `npm pack` runs it.
import { mkdir, rm } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import type { BunPlugin } from "bun";
import ts from "typescript";

const root = join(import.meta.dir, "..");
const entry = join(root, "src/client/index.ts");
const out = join(root, "dist/client");

/** Browsers have none of these, and Bun would quietly replace some of Node's. */
const WITHOUT_BUILTINS: BunPlugin = {
  name: "without built-in modules",
  setup(builder) {
    const names = builtinModules.map((name) => name.replace(/^node:/, ""));
    builder.onResolve({ filter: new RegExp(`^(node:|bun:|(${names.join("|")})$)`) }, (found) => {
      throw new Error(`${found.importer} imports ${found.path}, which browsers lack`);
    });
  },
};

async function buildCode(): Promise<void> {
  await Bun.build({
    entrypoints: [entry],
    outdir: out,
    target: "browser",
    format: "esm",
    packages: "external",
    plugins: [WITHOUT_BUILTINS],
    sourcemap: "linked",
  });
}

/** One declaration for each file that the client is made of. They import each other as the JavaScript would. */
async function buildDeclarations(): Promise<void> {
  const program = ts.createProgram([entry], {
    target: ts.ScriptTarget.ESNext,
    lib: ["lib.esnext.full.d.ts"],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: join(root, "src"),
    outDir: join(out, "types"),
  });
  const files: Promise<unknown>[] = [];
  const { diagnostics } = program.emit(undefined, (path, text) => {
    files.push(write(path, text.replace(/(["'])(\.[^"']*)\.ts\1/g, "$1$2.js$1")));
  });
  await Promise.all(files);
  const [problem] = diagnostics;
  if (problem === undefined) return;
  const where = relative(root, problem.file?.fileName ?? entry);
  throw new Error(`${where}: ${ts.flattenDiagnosticMessageText(problem.messageText, " ")}`);
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await Bun.write(path, text);
}

await rm(out, { recursive: true, force: true });
await Promise.all([buildCode(), buildDeclarations()]);
