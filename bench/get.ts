import { join } from "node:path";
import { startEtcd } from "./contenders/etcd.ts";
import { startNodes } from "./contenders/node.ts";
import { startRedis } from "./contenders/redis.ts";
import { sqliteFolder } from "./contenders/sqlite.ts";
import type { Benchmark } from "./harness.ts";
import { pair, THROUGHPUT } from "./pair.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);
const setting = { callers: 64, options: { keys: 10_000, reads: true } };

export const benchmark: Benchmark = {
  summary: "newest version of one of 10,000 keys, on a follower, 64 callers",
  cases: [
    {
      title: "64 callers",
      metrics: THROUGHPUT,
      contenders: [
        pair({
          ...setting,
          name: "SQLite point query",
          role: "limit",
          client: script("sqlite.ts"),
          server: sqliteFolder,
        }),
        pair({
          ...setting,
          name: "ours, on a follower",
          role: "ours",
          client: script("node.ts"),
          options: { ...setting.options, call: "get" },
          server: () => startNodes(1),
        }),
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
          name: "Redis",
          role: "peer",
          client: script("redis.ts"),
          server: startRedis,
        }),
      ],
      targets: [],
    },
  ],
};
