/** `bun run sim`: runs simulated clusters, one seed each, on all cores; and replays one. */
import { parseArgs } from "node:util";
import type { SeedTask } from "./worker.ts";
import { type RunOptions, type RunResult, runSeed } from "./world/run-seed.ts";

const USAGE = `bun run sim [--seeds N | --minutes M] [--from N] [--seconds N] [--control]
       bun run sim --seed N [--seconds N] [--trace] [--control]`;

const options = {
  /** Only this one, twice: the second must give the first's trace. */
  seed: { type: "string" },
  /** So many. */
  seeds: { type: "string", default: "200" },
  from: { type: "string", default: "1" },
  /** As many as there is time for. */
  minutes: { type: "string" },
  /** How long faults go on in each, in simulated seconds. */
  seconds: { type: "string", default: "175" },
  trace: { type: "boolean", default: false },
  /** Without fence and deadline checks. */
  control: { type: "boolean", default: false },
} as const;

function parse() {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\nusage: ${USAGE}`);
    process.exit(2);
  }
}

const flags = parse();

function numberOf(flag: "seed" | "seeds" | "from" | "minutes" | "seconds", least = 0): number {
  const value = Number(flags[flag]);
  if (Number.isFinite(value) && value >= least) return value;
  console.error(`--${flag} ${flags[flag]} is not a number of ${least} or more\nusage: ${USAGE}`);
  process.exit(2);
}

const faultsMs = numberOf("seconds") * 1e3;
const runOptions: RunOptions = { faultsMs, protections: !flags.control, keepLines: flags.trace };
const replay = (seed: number) =>
  `bun run sim --seed ${seed} --seconds ${flags.seconds}${flags.control ? " --control" : ""}`;

process.exit(flags.seed === undefined ? await many() : one(numberOf("seed")));

/** The exit code. */
function one(seed: number): number {
  const first = runSeed(seed, runOptions);
  const second = runSeed(seed, runOptions);
  for (const line of first.lines) console.log(line);
  for (const violation of first.violations) console.log(`  ${violation}`);
  const { traceHash, events, takeOvers, acknowledged, simulatedMs } = first;
  const hours = (simulatedMs / 3.6e6).toFixed(3);
  console.log(`seed ${seed}: ${hours} cluster-hours, ${events} events, ${takeOvers} take-overs`);
  console.log(`${acknowledged} puts acknowledged, ${first.violations.length} violations`);
  console.log(`trace ${traceHash}, replayed ${second.traceHash}`);
  return first.violations.length > 0 || traceHash !== second.traceHash ? 1 : 0;
}

/** The exit code. */
async function many(): Promise<number> {
  const startedAt = performance.now();
  const from = numberOf("from");
  const untilMs = flags.minutes === undefined ? Infinity : numberOf("minutes") * 60_000;
  const last = flags.minutes === undefined ? from + numberOf("seeds", 1) : Infinity;
  const total = { seeds: 0, failed: 0, simulatedMs: 0, calls: 0, faults: 0, takeOvers: 0 };
  let next = from;
  const nextSeed = () =>
    next < last && performance.now() - startedAt < untilMs ? next++ : undefined;
  const ended = (result: RunResult) => {
    const { seed, violations } = result;
    total.seeds++;
    total.simulatedMs += result.simulatedMs;
    total.takeOvers += result.takeOvers;
    total.calls += result.acknowledged + result.refused + result.gets;
    total.faults += [...result.faults.values()].reduce((sum, count) => sum + count, 0);
    if (violations.length === 0) return;
    total.failed++;
    for (const violation of violations.slice(0, 20)) console.log(`  ${violation}`);
    console.log(`  replay: ${replay(seed)}`);
  };
  const cores = Math.max(1, navigator.hardwareConcurrency);
  await Promise.all(Array.from({ length: cores }, () => runOnCore(nextSeed, ended)));
  const seconds = ((performance.now() - startedAt) / 1e3).toFixed(1);
  const hours = (total.simulatedMs / 3.6e6).toFixed(1);
  console.log(
    `${total.faults} faults, ${total.takeOvers} take-overs, ${total.calls} puts and gets`,
  );
  console.log(
    `${total.seeds} seeds, ${hours} cluster-hours in ${seconds} s on ${cores} cores, ${total.failed} with violations`,
  );
  return total.failed > 0 ? 1 : 0;
}

/** Runs seeds on one core until there are no more. */
function runOnCore(
  nextSeed: () => number | undefined,
  ended: (result: RunResult) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url));
    const again = () => {
      const seed = nextSeed();
      if (seed === undefined) {
        worker.terminate();
        resolve();
        return;
      }
      worker.postMessage({ seed, options: runOptions } satisfies SeedTask);
    };
    worker.onmessage = ({ data }: MessageEvent<RunResult>) => {
      ended(data);
      again();
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    again();
  });
}
