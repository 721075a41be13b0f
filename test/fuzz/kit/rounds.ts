import { Prng } from "../../simulation/world/prng.ts";

// A round is one seed: all that it does comes of it. A failure names its seed, and that alone runs it again:
// `FUZZ_SEED=17 bun test test/fuzz/peer-routes.test.ts`. `FUZZ_RUNS=50` makes fifty times as many rounds as usual,
// each with a seed of its own.

const replayed = numberIn("FUZZ_SEED");
const factor = numberIn("FUZZ_RUNS") ?? 1;

/** Milliseconds that a test of rounds may take which takes `usualMs` at most as a rule: a busy machine is slow. */
export function boundMs(usualMs: number): number {
  return 6 * usualMs * Math.max(1, factor);
}

/** Runs `round` with so many seeds, from 1 on. */
export function rounds(usual: number, round: (prng: Prng) => void): void {
  for (const seed of seeds(usual)) {
    try {
      round(new Prng(seed));
    } catch (error) {
      throw failed(seed, error);
    }
  }
}

/** As `rounds`, one after the other. */
export async function asyncRounds(
  usual: number,
  round: (prng: Prng) => Promise<void>,
): Promise<void> {
  for (const seed of seeds(usual)) {
    try {
      await round(new Prng(seed));
    } catch (error) {
      throw failed(seed, error);
    }
  }
}

function* seeds(usual: number): Generator<number> {
  if (replayed !== null) yield replayed;
  else for (let seed = 1; seed <= Math.ceil(usual * factor); seed++) yield seed;
}

function failed(seed: number, cause: unknown): Error {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new Error(`FUZZ_SEED=${seed}: ${what}`, { cause });
}

function numberIn(variable: string): number | null {
  const text = process.env[variable];
  if (text === undefined) return null;
  const number = Number(text);
  if (!(number > 0)) throw new Error(`${variable}=${text}: give a number greater than 0`);
  return number;
}
