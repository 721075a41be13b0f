import { expect, test } from "bun:test";
import { join } from "node:path";
import { flagTable } from "../../src/cli/flag-table.ts";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";

test("the README's table of flags is the one that the flags make", async () => {
  const readme = await Bun.file(join(import.meta.dir, "../../README.md")).text();
  const table = /<!-- flags of serve -->\n\n(.*)\n\n<!-- end of flags -->/s.exec(readme)?.[1];
  expect(table).toBe(flagTable(SERVE_FLAGS));
});
