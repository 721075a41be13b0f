import { join } from "node:path";
import { startBareLog } from "./contenders/bare-log.ts";
import { startEtcd } from "./contenders/etcd.ts";
import { startNodes } from "./contenders/node.ts";
import { startRedis } from "./contenders/redis.ts";
import type { Benchmark, Case, Target } from "./harness.ts";
import { pair, THROUGHPUT } from "./pair.ts";
import { atLeastOf, atMost } from "./targets.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);

const LIMIT = "bare log, same RPC";
const OURS = "ours, from a follower";
const ETCD = "etcd";

function putCase(title: string, keys: number, targets: readonly Target[]): Case {
  const setting = { callers: 64, options: { keys } };
  return {
    title,
    metrics: THROUGHPUT,
    contenders: [
      pair({
        ...setting,
        name: LIMIT,
        role: "limit",
        client: script("bare-log.ts"),
        server: startBareLog,
      }),
      pair({
        ...setting,
        name: OURS,
        role: "ours",
        client: script("node.ts"),
        options: { keys, call: "put" },
        server: () => startNodes(1),
      }),
      // Two client processes: one alone is slower than etcd is.
      pair({
        ...setting,
        name: ETCD,
        role: "peer",
        client: script("etcd.ts"),
        clients: 2,
        server: startEtcd,
      }),
      pair({
        ...setting,
        name: "Redis, fsync always",
        role: "peer",
        client: script("redis.ts"),
        server: startRedis,
      }),
    ],
    targets,
  };
}

export const benchmark: Benchmark = {
  summary: "durable put of 64 B from another process, 64 callers",
  cases: [
    putCase("10,000 keys", 10_000, [
      atLeastOf(OURS, 0.4, LIMIT),
      atLeastOf(OURS, 2, ETCD),
      atMost(OURS, 10, "p99Ms"),
    ]),
    putCase("one hot key", 1, []),
  ],
};
