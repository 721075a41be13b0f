// `bun run bench NAME... [--rounds 3] [--seconds 2] [--json]`; without a name, lists what there is.
import { parseArgs } from "node:util";
import { type Benchmark, type CaseResult, runCase } from "./harness.ts";
import { machine, machineLine, table } from "./report.ts";

/** Loaded one by one: what one needs may be missing where another runs. */
const BENCHMARKS: Readonly<Record<string, () => Promise<{ benchmark: Benchmark }>>> = {
  rpc: () => import("./rpc.ts"),
  put: () => import("./put.ts"),
  get: () => import("./get.ts"),
  send: () => import("./send.ts"),
  broadcast: () => import("./broadcast.ts"),
  failover: () => import("./failover.ts"),
  start: () => import("./start.ts"),
};

async function list(): Promise<void> {
  console.log("bun run bench NAME... [--rounds 3] [--seconds 2] [--json]\n");
  for (const [name, load] of Object.entries(BENCHMARKS)) {
    console.log(`${name.padEnd(10)} ${(await load()).benchmark.summary}`);
  }
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
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "2" },
      json: { type: "boolean", default: false },
    },
  });
  if (names.length === 0) return list();
  const unknown = names.find((name) => !Object.hasOwn(BENCHMARKS, name));
  if (unknown !== undefined) {
    throw new Error(`no benchmark ${unknown}: there are ${Object.keys(BENCHMARKS).join(", ")}`);
  }
  const options = {
    rounds: Math.ceil(positive(flags.rounds, "rounds")),
    seconds: positive(flags.seconds, "seconds"),
  };
  const print = (text: string) => {
    if (!flags.json) console.log(text);
  };
  print(machineLine(machine(), options));
  const results: { name: string; cases: CaseResult[] }[] = [];
  for (const name of names) {
    const { benchmark } = await (BENCHMARKS[name] as (typeof BENCHMARKS)[string])();
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
