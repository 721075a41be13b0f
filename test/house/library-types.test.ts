import { expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");
/** As `bun init` writes it: no types of a browser. */
const OPTIONS = {
  lib: ["ESNext"],
  target: "ESNext",
  module: "Preserve",
  moduleResolution: "bundler",
  moduleDetection: "force",
  types: ["bun"],
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  strict: true,
  skipLibCheck: true,
  noEmit: true,
};

test("a project as `bun init` makes it passes the type check with the library in it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-types-"));
  try {
    await mkdir(join(folder, "node_modules/@types"), { recursive: true });
    await symlink(root, join(folder, "node_modules/hedgerow"));
    await symlink(join(root, "node_modules/@types/bun"), join(folder, "node_modules/@types/bun"));
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: OPTIONS }));
    const check = async (program: string) => {
      await writeFile(join(folder, "index.ts"), `import { Hedgerow } from "hedgerow";\n${program}`);
      const words = [process.execPath, "check", "--no-script"];
      const child = Bun.spawn(words, { cwd: folder, stdout: "pipe", stderr: "pipe" });
      const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
      return { code: await child.exited, said: (await Promise.all(texts)).join("") };
    };
    const wrong = await check("export const node: number = await Hedgerow.start();\n");
    expect(wrong.code).not.toBe(0); // else nothing was checked
    const { code, said } = await check("export const node = await Hedgerow.start();\n");
    expect([code, said]).toEqual([0, expect.stringContaining("No type errors")]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
