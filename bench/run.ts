// `bun run bench NAME... [--store sqlite|spanner] [--rounds 3] [--seconds 2] [--json]`; without a name, lists
// what there is.
import { parseArgs } from "node:util";
import { type Benchmark, type CaseResult, runCase } from "./harness.ts";
import { machine, machineLine, table } from "./report.ts";

type Benchmarks = Readonly<Record<string, () => Promise<{ benchmark: Benchmark }>>>;

/** Loaded one by one: what one needs may be missing where another runs. */
const BENCHMARKS: Benchmarks = {
  rpc: () => import("./rpc.ts"),
  put: () => import("./put.ts"),
  get: () => import("./get.ts"),
  send: () => import("./send.ts"),
  broadcast: () => import("./broadcast.ts"),
  stream: () => import("./stream.ts"),
  lock: () => import("./lock.ts"),
  failover: () => import("./failover.ts"),
  semaphore: () => import("./semaphore.ts"),
  gossip: () => import("./gossip.ts"),
  many: () => import("./many.ts"),
  shard: () => import("./shard.ts"),
  spill: () => import("./spill.ts"),
  start: () => import("./start.ts"),
};

/** With `--store spanner`, on emulators that they start. */
const ON_SPANNER: Benchmarks = {
  put: () => import("./spanner/put.ts"),
  get: () => import("./spanner/get.ts"),
};

const STORES: Readonly<Record<string, Benchmarks>> = { sqlite: BENCHMARKS, spanner: ON_SPANNER };

async function list(): Promise<void> {
  console.log(
    "bun run bench NAME... [--store sqlite|spanner] [--rounds 3] [--seconds 2] [--json]\n",
  );
  for (const [name, load] of Object.entries(BENCHMARKS)) {
    const also = Object.hasOwn(ON_SPANNER, name) ? " (also --store spanner)" : "";
    console.log(`${name.padEnd(10)} ${(await load()).benchmark.summary}${also}`);
  }
}

/** The named ones on this store. Throws for a name that there is not, and says which there are. */
function chosen(names: readonly string[], store: string): [string, Benchmarks[string]][] {
  const onStore = Object.hasOwn(STORES, store) ? STORES[store] : undefined;
  if (onStore === undefined) throw new Error(`--store ${store}: give sqlite or spanner`);
  return names.map((name) => {
    const load = Object.hasOwn(onStore, name) ? onStore[name] : undefined;
    if (load !== undefined) return [name, load];
    const there = Object.keys(onStore).join(", ");
    throw new Error(
      Object.hasOwn(BENCHMARKS, name)
        ? `${name} has no --store ${store}: there are ${there}`
        : `no benchmark ${name}: there are ${there}`,
    );
  });
}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${flag} ${text}: give a number above 0`);
  return value;
}

async function main(): Promise<void> {
  const { values: flags, positionals: names } = parseArgs({
    allowPositionals: true,
    options: {
      store: { type: "string", default: "sqlite" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "2" },
      json: { type: "boolean", default: false },
    },
  });
  if (names.length === 0) return list();
  const benchmarks = chosen(names, flags.store);
  const options = {
    rounds: Math.ceil(positive(flags.rounds, "rounds")),
    seconds: positive(flags.seconds, "seconds"),
  };
  const print = (text: string) => {
    if (!flags.json) console.log(text);
  };
  print(machineLine(machine(), options));
  const results: { name: string; cases: CaseResult[] }[] = [];
  for (const [name, load] of benchmarks) {
    const { benchmark } = await load();
    print(`\n${name}: ${benchmark.summary}`);
    const cases: CaseResult[] = [];
    for (const subject of benchmark.cases) {
      const result = await runCase(subject, options);
      cases.push(result);
      print(`\n${table(result)}`);
    }
    results.push({ name, cases });
  }
  if (flags.json) {
    console.log(JSON.stringify({ machine: machine(), ...options, benchmarks: results }, null, 2));
  }
}

// Through exit, so that the processes of the benchmark end too.
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));
try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
