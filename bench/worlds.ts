import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { World } from "./contenders/swarm.ts";
import { track } from "./processes.ts";

const script = join(import.meta.dir, "contenders", "swarm.ts");

/** What the worlds of one contender showed, all together. */
export type Shown = Readonly<Record<string, readonly number[]>>;

/** Collects garbage as if the machine had 1 GB: a thousand nodes then stay below that for a tenth more time. */
const ENVIRONMENT = { BUN_JSC_forceRAMSize: String(1e9) };

let free = availableParallelism();
const waiting: (() => void)[] = [];

/** Runs the worlds in processes of their own, on each core one at a time. */
export async function showAll(worlds: readonly World[]): Promise<Shown> {
  const all = await Promise.all(worlds.map(show));
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, all.flatMap((one) => one[name] ?? [])]));
}

async function show(world: World): Promise<Shown> {
  if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  else free--;
  try {
    return await run(world);
  } finally {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  }
}

async function run(world: World): Promise<Shown> {
  const child = Bun.spawn([process.execPath, script, JSON.stringify(world)], {
    env: { ...process.env, ...ENVIRONMENT },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  track(child);
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${world.task}: a simulated world failed`);
  // JSON has no Infinity, which is how long it takes what does not happen.
  return JSON.parse(text, (_, value: unknown) => value ?? Infinity) as Shown;
}
