import { Histogram } from "./histogram.ts";

/** One call of the thing that is measured; `n` numbers the calls of this process from 0. */
export type Call = (n: number) => Promise<unknown>;

export interface LoadOptions {
  /** Calls that are always under way at once. */
  readonly callers: number;
  readonly seconds: number;
}

export interface Load {
  readonly calls: number;
  readonly elapsedMs: number;
  /** Buckets of a Histogram. */
  readonly latencies: number[];
}

/** A closed loop: each caller makes its next call when its last one has been answered. */
export async function closedLoop(call: Call, options: LoadOptions): Promise<Load> {
  const latencies = new Histogram();
  const started = performance.now();
  const end = started + options.seconds * 1000;
  let calls = 0;
  const caller = async () => {
    let before = performance.now();
    while (before < end) {
      await call(calls++);
      const after = performance.now();
      latencies.record(after - before);
      before = after;
    }
  };
  await Promise.all(Array.from({ length: options.callers }, caller));
  return { calls, elapsedMs: performance.now() - started, latencies: latencies.toJSON() };
}
