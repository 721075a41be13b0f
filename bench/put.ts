import { join } from "node:path";
import { startEtcd } from "./contenders/etcd.ts";
import { startRedis } from "./contenders/redis.ts";
import type { Benchmark, Case } from "./harness.ts";
import { pair, THROUGHPUT } from "./pair.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);

function putCase(title: string, keys: number): Case {
  const setting = { callers: 64, options: { keys } };
  return {
    title,
    metrics: THROUGHPUT,
    contenders: [
      // Two client processes: one alone is slower than etcd is.
      pair({
        ...setting,
        name: "etcd",
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
    targets: [],
  };
}

export const benchmark: Benchmark = {
  summary: "durable put of 64 B from another process, 64 callers",
  cases: [putCase("10,000 keys", 10_000), putCase("one hot key", 1)],
};
