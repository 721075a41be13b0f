import { expect, test } from "bun:test";
import { join } from "node:path";
import { NODE_PERMISSIONS, NODE_ROLE } from "../../src/store/spanner/permissions.ts";

test("the guide gives nodes the permissions that the doctor looks for", async () => {
  const guide = await Bun.file(join(import.meta.dir, "../../docs/SPANNER.md")).text();
  const [, permissions = ""] = /--permissions=(\S+)/.exec(guide) ?? [];
  expect(permissions.split(",").sort()).toEqual([...NODE_PERMISSIONS].sort());
  expect(guide).toContain(`| nodes                          | \`${NODE_ROLE}\``);
});
