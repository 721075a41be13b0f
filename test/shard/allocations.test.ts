import { expect, test } from "bun:test";
import { join } from "node:path";
import type { Work } from "../../bench/contenders/sharder.ts";
import { ALL } from "./kit.ts";

const script = join(import.meta.dir, "../../bench/contenders/sharder.ts");

/** By how much the heap grows per lookup in a process that collects nothing. */
async function bytesPerLookup(work: Pick<Work, "subject" | "owners">): Promise<number> {
  const whole: Work = { ...work, nodes: 10, task: "heap", seconds: 0 };
  const child = Bun.spawn([process.execPath, script, JSON.stringify(whole)], {
    env: { ...process.env, BUN_JSC_useGC: "0" },
    stdout: "pipe",
    stderr: "inherit",
  });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return Number(text);
}

test("the measure sees a bigint a lookup", async () => {
  expect(await bytesPerLookup({ subject: "hash" })).toBeGreaterThan(16);
});

test.each(ALL.map(({ name }) => name))(
  "%s: two million lookups of one owner, and of three, allocate nothing",
  async (subject) => {
    expect(await bytesPerLookup({ subject })).toBeLessThan(0.1);
    expect(await bytesPerLookup({ subject, owners: 3 })).toBeLessThan(0.1);
  },
  60_000,
);
