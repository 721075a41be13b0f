import { expect, test } from "bun:test";
import { join } from "node:path";
import type { ManyNodes } from "../../bench/contenders/many.ts";

const script = join(import.meta.dir, "../../bench/contenders/many.ts");

/** The short form of `bun run bench many`. */
test("151 idle nodes in one process say little, and take less than 2 MB each", async () => {
  const child = Bun.spawn([process.execPath, script, "151", "5"], { stdout: "pipe" });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  const { besides, probes, megabytes } = JSON.parse(text) as ManyNodes;
  expect(besides).toBeLessThanOrEqual(50);
  expect(probes).toBeGreaterThan(0); // else nothing was counted
  expect(probes).toBeLessThan(200);
  expect(megabytes).toBeLessThan(151 * 2);
}, 60_000);
