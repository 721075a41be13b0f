// How long it takes until a waiter in another process has what its holder gives back.
import { join } from "node:path";
import { systemClock } from "../src/runtime/system.ts";
import { Histogram } from "./histogram.ts";
import type { Load, LoadOptions } from "./load.ts";
import type { Server } from "./pair.ts";
import { removeFolder, scratchFolder } from "./processes.ts";
import type { Info } from "./roles.ts";

/** Waits for what is contended, and gives what gives it back. */
export type Take = () => Promise<() => Promise<unknown>>;

export const HAND_OVER = [
  { key: "p50Ms", title: "p50 ms", digits: 3 },
  { key: "p99Ms", title: "p99 ms", digits: 3 },
  { key: "perSecond", title: "times/s", digits: 0 },
];

/** A holder holds on for so long, in milliseconds, that the other one surely waits. */
const HOLD_MS = 3;

/** A file that all client processes map, where each writes down when it released. */
export async function withBoard(server: Server): Promise<Server> {
  const folder = await scratchFolder();
  const board = join(folder, "board");
  await Bun.write(board, new Float64Array(2));
  return {
    info: { ...server.info, board },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await removeFolder(folder);
    },
  };
}

/** Takes, holds and gives back again and again; from another's release to one's own taking is what counts. */
export function handOver(take: Take, { board, client }: Info) {
  const bytes = Bun.mmap(String(board), { shared: true });
  const shared = new Float64Array(bytes.buffer, bytes.byteOffset, 2);
  const { now } = systemClock();
  return async ({ seconds }: LoadOptions): Promise<Load> => {
    const latencies = new Histogram();
    const started = now();
    let calls = 0;
    shared[1] = -1;
    while (now() < started + seconds * 1000) {
      const giveBack = await take();
      const [releasedAt = 0, by] = shared;
      if (by !== -1 && by !== client && releasedAt > started) {
        latencies.record(now() - releasedAt);
        calls++;
      }
      await Bun.sleep(HOLD_MS);
      shared.set([now(), Number(client)]);
      await giveBack();
    }
    return { calls, elapsedMs: now() - started, latencies: latencies.toJSON() };
  };
}
