/** `bun run sim [--seed N | --seeds N | --minutes M] [--trace]`: runs and replays simulated clusters. */
import { parseArgs } from "node:util";
import { runSeed } from "./world/run-seed.ts";

const USAGE = "bun run sim [--seed N | --seeds N [--from N] | --minutes M] [--trace] [--control]";

function flags() {
  try {
    return parseArgs({
      options: {
        seed: { type: "string" },
        seeds: { type: "string", default: "200" },
        from: { type: "string", default: "1" },
        minutes: { type: "string" },
        trace: { type: "boolean", default: false },
        control: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\nusage: ${USAGE}`);
    process.exit(2);
  }
}

const values = flags();
const startedAt = performance.now();
const protections = !values.control;
const one = values.seed === undefined ? null : Number(values.seed);
const from = one ?? Number(values.from);
const count = one === null ? Number(values.seeds) : 1;
const untilMs = values.minutes === undefined ? Infinity : Number(values.minutes) * 60_000;
const last = values.minutes === undefined ? from + count : Infinity;
let seeds = 0;
let simulatedMs = 0;
let failed = 0;

for (let seed = from; seed < last && performance.now() - startedAt < untilMs; seed++) {
  const result = runSeed(seed, { keepLines: values.trace, protections });
  seeds++;
  simulatedMs += result.simulatedMs;
  if (values.trace) for (const line of result.lines) console.log(line);
  if (one !== null || result.violations.length > 0) {
    const { traceHash, events, acknowledged, takeOvers } = result;
    console.log(
      `seed ${seed}: trace ${traceHash}, ${events} events, ${takeOvers} take-overs, ${acknowledged} puts`,
    );
  }
  if (result.violations.length === 0) continue;
  failed++;
  for (const violation of result.violations.slice(0, 20)) console.log(`  ${violation}`);
  console.log(`  replay: bun run sim --seed ${seed}`);
}
const seconds = (performance.now() - startedAt) / 1e3;
const hours = simulatedMs / 3.6e6;
console.log(
  `${seeds} seeds, ${hours.toFixed(2)} cluster-hours in ${seconds.toFixed(1)} s, ${failed} with violations`,
);
process.exit(failed > 0 ? 1 : 0);
