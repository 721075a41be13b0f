import { join } from "node:path";
import { startEtcd } from "./contenders/etcd.ts";
import { startNodes } from "./contenders/node.ts";
import { HAND_OVER, withBoard } from "./hand-over.ts";
import type { Benchmark } from "./harness.ts";
import { pair } from "./pair.ts";
import { atMostTimes } from "./targets.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);

const OURS = "ours, on SQLite";
const ETCD = "etcd's lock";
const setting = { callers: 2, clients: 2 };

export const benchmark: Benchmark = {
  summary: "hand-over of a contended lock between two processes, from release to acquire",
  cases: [
    {
      title: "lock, held 3 ms",
      metrics: HAND_OVER,
      contenders: [
        pair({
          ...setting,
          name: OURS,
          role: "ours",
          client: script("node-lock.ts"),
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
      targets: [atMostTimes(OURS, 1, ETCD, "p50Ms"), atMostTimes(OURS, 0.5, ETCD, "p50Ms")],
    },
  ],
};
