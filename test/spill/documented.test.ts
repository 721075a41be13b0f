import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

test("the example of docs/SPILL.md runs", async () => {
  const text = await Bun.file(join(ROOT, "docs/SPILL.md")).text();
  const example = /```ts\n(.*?)```/s.exec(text)?.[1] ?? "";
  const folder = mkdtempSync(join(tmpdir(), "hedgerow-documented-"));
  try {
    const path = join(folder, "example.ts");
    const index = JSON.stringify(join(ROOT, "src/index.ts"));
    await Bun.write(path, example.replace('"hedgerow"', index));
    const env = { ...process.env, TMPDIR: folder };
    const child = Bun.spawn([process.execPath, path], { env, stderr: "pipe", timeout: 20_000 });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    expect([await child.exited, stderr]).toEqual([0, ""]);
    expect(stdout.trimEnd().split("\n")).toEqual([
      "a record may have 524288 bytes",
      "the second record has 3 bytes",
      "60003 records of 6000007 bytes",
      "one",
      "true true true 0 0 1",
      '[ "orders" ] true',
      "too_large",
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 30_000);
