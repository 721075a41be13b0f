// How long it takes until a waiter in another process has what its holder gives back.
import { join } from "node:path";
import { systemClock } from "../src/runtime/system.ts";
import { Histogram } from "./histogram.ts";
import type { Load, LoadOptions } from "./load.ts";
import type { Server } from "./pair.ts";
import { removeFolder, scratchFolder } from "./processes.ts";
import type { Info } from "./roles.ts";

/** Waits for what has this name, and gives what gives it back. */
export type Take = (name: string) => Promise<() => Promise<unknown>>;

export const HAND_OVER = [
  { key: "p50Ms", title: "p50 ms", digits: 3 },
  { key: "p99Ms", title: "p99 ms", digits: 3 },
  { key: "perSecond", title: "times/s", digits: 0 },
];

/** Two processes, one caller each for each of the names. */
export function contended(names: number, holdMs: number) {
  return { callers: 2 * names, clients: 2, options: { holdMs } };
}

const MAX_NAMES = 64;

/** A file that all client processes map, where each writes down when it released what. */
export async function withBoard(server: Server): Promise<Server> {
  const folder = await scratchFolder();
  const board = join(folder, "board");
  await Bun.write(board, new Float64Array(2 * MAX_NAMES));
  return {
    info: { ...server.info, board },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await removeFolder(folder);
    },
  };
}

/** Takes, holds and gives back again and again; from another's release to one's own taking is what counts. */
export function handOver(take: Take, { board, client, holdMs }: Info) {
  const bytes = Bun.mmap(String(board), { shared: true });
  const released = new Float64Array(bytes.buffer, bytes.byteOffset, 2 * MAX_NAMES);
  const { now } = systemClock();
  return async ({ callers, seconds }: LoadOptions): Promise<Load> => {
    const latencies = new Histogram();
    const started = now();
    let calls = 0;
    const caller = async (_: unknown, index: number) => {
      // One after the other, so that each is handed over while nothing else is.
      await Bun.sleep((Number(holdMs) * index) / callers);
      while (now() < started + seconds * 1000) {
        const giveBack = await take(`job-${index}`);
        const [at = 0, by] = released.subarray(2 * index);
        if (at > started && by !== client) {
          latencies.record(now() - at);
          calls++;
        }
        await Bun.sleep(Number(holdMs));
        released.set([now(), Number(client)], 2 * index);
        await giveBack();
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return { calls, elapsedMs: now() - started, latencies: latencies.toJSON() };
  };
}
