import { join } from "node:path";
import type { Sql } from "../../test/spanner/sql.ts";
import { startNodes } from "../contenders/node.ts";
import type { Benchmark, Sample } from "../harness.ts";
import { roleServer, THROUGHPUT } from "../pair.ts";
import { atLeastOf } from "../targets.ts";
import { noServer, onFreshEmulator } from "./fresh.ts";

const script = (file: string) => join(import.meta.dir, "../contenders", file);

const LIMIT = "bare client, token and batch";
const OURS = "ours, from a follower";
const setting = { callers: 64, options: { keys: 10_000, call: "put" }, inspect: batchSize };

/** Rows of one commit carry its timestamp: so many of them, in the mean. */
async function batchSize(sql: Sql): Promise<Sample> {
  const counts = "SELECT COUNT(*), COUNT(DISTINCT timestamp) FROM logtable";
  const [[rows, commits] = []] = await sql.query(counts);
  return { rowsPerCommit: Number(rows) / Number(commits) };
}

export const benchmark: Benchmark = {
  summary: "fenced put of 64 B through the leader into Spanner's emulator, new in each round",
  cases: [
    {
      title: "10,000 keys, 64 callers",
      metrics: [...THROUGHPUT, { key: "rowsPerCommit", title: "rows/commit", digits: 1 }],
      warmUpSeconds: 0, // each round has its own
      contenders: [
        onFreshEmulator({
          ...setting,
          name: LIMIT,
          role: "limit",
          client: script("bare-spanner.ts"),
          server: noServer,
        }),
        onFreshEmulator({
          ...setting,
          name: "ours, on the leader",
          role: "ours",
          client: script("node.ts"),
          server: (store) => startNodes(0, undefined, store),
        }),
        onFreshEmulator({
          ...setting,
          name: "bare client, same RPC",
          role: "peer",
          client: script("bare-log.ts"),
          server: (store) => roleServer(script("bare-spanner.ts"), store),
        }),
        onFreshEmulator({
          ...setting,
          name: OURS,
          role: "ours",
          client: script("node.ts"),
          server: (store) => startNodes(1, undefined, store),
        }),
      ],
      targets: [atLeastOf(OURS, 0.9, LIMIT)],
    },
  ],
};
