import { type Ran, cli } from "../cli/cli-kit.ts";

const VARIABLE = "SPANNER_EMULATOR_HOST";

/** Runs with that emulator in the environment, as users name it. */
export async function withHost<T>(host: string, run: () => Promise<T>): Promise<T> {
  const before = process.env[VARIABLE];
  process.env[VARIABLE] = host;
  try {
    return await run();
  } finally {
    if (before === undefined) delete process.env[VARIABLE];
    else process.env[VARIABLE] = before;
  }
}

/** Runs the program in this process, on that emulator. */
export function cliOn(host: string, ...argv: string[]): Promise<Ran> {
  return withHost(host, () => cli(argv));
}
