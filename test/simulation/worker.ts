/** Runs the seeds that it is sent, one after another. */
import { type RunOptions, runSeed } from "./world/run-seed.ts";

export interface SeedTask {
  readonly seed: number;
  readonly options: RunOptions;
}

declare const self: Worker;

// Errors are part of each run, and nobody reads where they come from.
Error.stackTraceLimit = 0;

self.onmessage = ({ data: { seed, options } }: MessageEvent<SeedTask>) => {
  self.postMessage(runSeed(seed, options));
};
