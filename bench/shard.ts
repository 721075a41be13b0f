import { join } from "node:path";
import type { Work } from "./contenders/sharder.ts";
import type { Benchmark, Case, Contender, Target } from "./harness.ts";
import { track } from "./processes.ts";
import { atMost, atMostTimes, timesAsFast } from "./targets.ts";

const script = join(import.meta.dir, "contenders", "sharder.ts");

async function workedOff(work: Work): Promise<number> {
  const child = Bun.spawn([process.execPath, script, JSON.stringify(work)], {
    // Without collection the heap grows by all that is allocated.
    env: { ...process.env, ...(work.task === "heap" ? { BUN_JSC_useGC: "0" } : {}) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  track(child);
  const text = await new Response(child.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${work.subject}: it failed`);
  return Number(text);
}

const ALGORITHMS = ["ring", "rendezvous", "multiprobe", "ringHash", "maglev"];
const NATIVE = "one native XXH64 call";
const subjectOf = (name: string) => (name === NATIVE ? "hash" : name);

function roleOf(name: string): Contender["role"] {
  if (name === NATIVE) return "limit";
  return name.includes("bigints") ? "peer" : "ours";
}

/** Measured in a new process each time, which warms up by itself. */
function contender(
  name: string,
  start: () => Promise<(seconds: number) => Promise<Record<string, number>>>,
): Contender {
  return {
    name,
    role: roleOf(name),
    start: async () => ({ measure: await start(), [Symbol.asyncDispose]: async () => {} }),
  };
}

interface Lookups {
  readonly nodes: number;
  readonly uuidKeys?: boolean;
  readonly others: readonly string[];
  readonly targets?: readonly Target[];
}

function lookups({ nodes, uuidKeys = false, others, targets = [] }: Lookups): Case {
  return {
    title: `key to owner, ${nodes} nodes, ${uuidKeys ? "UUIDs" : "keys of 10 characters"}`,
    metrics: [
      { key: "ns", title: "ns", digits: 1 },
      { key: "bytes", title: "bytes allocated", digits: 1 },
    ],
    warmUpSeconds: 0,
    contenders: [NATIVE, ...ALGORITHMS, ...others].map((name) =>
      contender(name, async () => {
        const work = { subject: subjectOf(name), nodes, uuidKeys };
        const bytes = await workedOff({ ...work, task: "heap", seconds: 0 });
        return async (seconds) => ({
          ns: await workedOff({ ...work, task: "lookup", seconds }),
          bytes,
        });
      }),
    ),
    targets: [...targets, ...ALGORITHMS.map((name) => atMost(name, 0.1, "bytes"))],
  };
}

function rebuilds(nodes: number, targets: readonly Target[]): Case {
  return {
    title: `${nodes} nodes`,
    metrics: [
      { key: "changeMs", title: "one node ms", digits: 3 },
      { key: "buildMs", title: "from nothing ms", digits: 3 },
    ],
    warmUpSeconds: 0,
    contenders: [...ALGORITHMS, ...inBigints].map((name) =>
      contender(name, async () => async (seconds) => {
        const work = { subject: name, nodes, seconds: seconds / 2 };
        const change = await workedOff({ ...work, task: "change" });
        const build = await workedOff({ ...work, task: "build" });
        return { changeMs: change / 1e6, buildMs: build / 1e6 };
      }),
    ),
    targets,
  };
}

const inBigints = ALGORITHMS.map((name) => `${name} in bigints`);
const throughout = (name: string) => `${name} in bigints throughout`;
const withinTwoCalls = ["ring", "maglev"].map((name) => atMostTimes(name, 2, NATIVE, "ns"));

export const benchmark: Benchmark = {
  summary:
    "owners of keys, and rebuilds; bigints: with the native XXH64, or with their own throughout",
  cases: [
    lookups({ nodes: 10, others: inBigints }),
    lookups({
      nodes: 100,
      others: [...inBigints, throughout("ring"), throughout("maglev")],
      targets: [
        ...withinTwoCalls,
        timesAsFast("ring", 6, "ring in bigints", "ns"),
        timesAsFast("maglev", 6, throughout("maglev"), "ns"),
      ],
    }),
    lookups({ nodes: 100, uuidKeys: true, others: [], targets: withinTwoCalls }),
    lookups({ nodes: 1_000, others: inBigints }),
    rebuilds(10, []),
    rebuilds(100, [atMost("ring", 3, "changeMs")]),
    rebuilds(1_000, [atMost("maglev", 5, "buildMs")]),
  ],
};
