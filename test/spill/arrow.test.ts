import { expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { tableFromIPC } from "@uwdata/flechette";
import { Folder, pour, record, spillOf, unlinkedFiles, until } from "./kit.ts";

test("a segment's file is an Arrow file for apache-arrow in another process and for flechette", async () => {
  using folder = new Folder();
  const store = spillOf({ folder: folder.path }).store("a", { memoryBytes: 0, diskBytes: 1 << 20 });
  await pour(store, 0, 3_000);
  // Those that are written have their full length.
  const { segments } = store.stats().tiers.localMemory;
  await until(() => store.stats().tiers.localMemory.segments < Math.max(segments, 2));
  const files = unlinkedFiles(folder.path).map((path, i) => {
    const copy = join(folder.path, `${i}.arrow`);
    copyFileSync(path, copy);
    return copy;
  });
  expect(files.length).toBeGreaterThan(2);
  const bounds: number[] = [];
  for await (const batch of store.reader().batches()) bounds.push(batch.first);
  const expected = files.map((_, i) => {
    const [from = 0, to = 0] = bounds.slice(i, i + 2);
    const hash = new Bun.CryptoHasher("sha256");
    for (let n = from; n < to; n++) hash.update(record(n));
    return { numRows: to - from, sha256: hash.digest("hex") };
  });

  const child = join(import.meta.dir, "children", "read-arrow.ts");
  const { stdout, exitCode } = Bun.spawnSync([process.execPath, child, ...files]);
  expect(exitCode).toBe(0);
  const read = stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const schema = "Schema<{ 0: record: Binary }>";
  expect(new Set(read)).toEqual(new Set(expected.map((one) => ({ schema, ...one }))));

  for (const path of files) {
    const table = tableFromIPC(await Bun.file(path).bytes());
    const hash = new Bun.CryptoHasher("sha256");
    for (const one of table.getChild("record")) hash.update(one as Uint8Array);
    const { numRows } = table;
    expect(expected).toContainEqual({ numRows, sha256: hash.digest("hex") });
  }
});

test("segments dumped from memory and from disk are Arrow files with all records in order", async () => {
  using folder = new Folder();
  const limits = { memoryBytes: 256 << 10, diskBytes: 1 << 20 };
  const store = spillOf({ folder: folder.path }).store("a", limits);
  await pour(store, 0, 5_000);
  let next = 0;
  let files = 0;
  for await (const file of store.arrowFiles()) {
    for (const one of tableFromIPC(file).getChild("record")) {
      if (Buffer.compare(one as Uint8Array, record(next++)) !== 0)
        throw new Error(`record ${next}`);
    }
    files++;
  }
  expect(next).toBe(5_000);
  expect(files).toBe(
    Object.values(store.stats().tiers).reduce((sum, tier) => sum + tier.segments, 0),
  );
});
