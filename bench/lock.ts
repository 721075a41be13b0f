import { join } from "node:path";
import { startEtcd } from "./contenders/etcd.ts";
import { startNodes } from "./contenders/node.ts";
import { contended, HAND_OVER, withBoard } from "./hand-over.ts";
import type { Benchmark, Case, Target } from "./harness.ts";
import { pair } from "./pair.ts";
import { atMostTimes } from "./targets.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);

export const OURS = "ours, on SQLite";
export const ETCD = "etcd's lock";

/** `client` is the file in `contenders` whose processes hand something of ours over. */
export function handOverCase(
  client: string,
  title: string,
  names: number,
  holdMs: number,
  targets: Target[],
): Case {
  const setting = contended(names, holdMs);
  return {
    title,
    metrics: HAND_OVER,
    contenders: [
      pair({
        ...setting,
        name: OURS,
        role: "ours",
        client: script(client),
        server: async () => withBoard(await startNodes(1)),
      }),
      pair({
        ...setting,
        name: ETCD,
        role: "peer",
        client: script("etcd-lock.ts"),
        server: async () => withBoard(await startEtcd()),
      }),
    ],
    targets,
  };
}

export const benchmark: Benchmark = {
  summary: "hand-over of contended locks between two processes, from release to acquire",
  cases: [
    // etcd tells those that have waited for less than 100 ms late: this is at its best.
    handOverCase("node-lock.ts", "8 locks, held 150 ms", 8, 150, [
      atMostTimes(OURS, 1, ETCD, "p50Ms"),
      atMostTimes(OURS, 0.5, ETCD, "p50Ms"),
    ]),
    handOverCase("node-lock.ts", "1 lock, held 3 ms", 1, 3, []),
  ],
};
