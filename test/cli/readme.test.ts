import { expect, test } from "bun:test";
import { join } from "node:path";
import { examples } from "../../src/cli/dev/watch.ts";
import { flagTable } from "../../src/cli/flag-table.ts";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";

const README = Bun.file(join(import.meta.dir, "../../README.md"));

test("the README shows the requests that dev shows", async () => {
  expect(await README.text()).toContain(
    `\`\`\`sh\n${examples([9090, 9091, 9092]).join("\n")}\n\`\`\``,
  );
});

test("the README's table of flags is the one that the flags make", async () => {
  const readme = await README.text();
  const table = /<!-- flags of serve -->\n\n(.*)\n\n<!-- end of flags -->/s.exec(readme)?.[1];
  expect(table).toBe(flagTable(SERVE_FLAGS));
});
