import { join } from "node:path";
import type { Sql } from "../../test/spanner/sql.ts";
import { startNodes } from "../contenders/node.ts";
import type { Benchmark, Case } from "../harness.ts";
import { keyOf, VALUE } from "../keys.ts";
import { THROUGHPUT } from "../pair.ts";
import { atLeastOf } from "../targets.ts";
import { noServer, onFreshEmulator } from "./fresh.ts";

const script = (file: string) => join(import.meta.dir, "../contenders", file);

const LIMIT = "bare strong read";
const OURS = "ours, on a follower";
/** Few: the emulator looks at every row of the table for each query, which of many rows hides all else. */
const KEYS = 100;
const COLUMNS = ["key", "id", "value", "leader", "timestamp"];

/** One version of each key. */
async function fillLog(sql: Sql): Promise<void> {
  const now = { stringValue: "spanner.commit_timestamp()" };
  const values = Array.from({ length: KEYS }, (_, n) => {
    const texts = [keyOf(n), crypto.randomUUID(), VALUE, "127.0.0.1:12345"];
    return { values: [...texts.map((stringValue) => ({ stringValue })), now] };
  });
  await sql.write({ insert: { table: "logtable", columns: COLUMNS, values } });
}

function getCase(title: string, callers: number, maxSecondsOfReads: number): Case {
  const options = { keys: KEYS, call: "get", filled: true };
  const setting = { callers, options, prepare: fillLog, maxSecondsOfReads };
  return {
    title,
    metrics: THROUGHPUT,
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
        name: OURS,
        role: "ours",
        client: script("node.ts"),
        server: (store) => startNodes(1, undefined, store),
      }),
    ],
    targets: [atLeastOf(OURS, 0.8, LIMIT)],
  };
}

export const benchmark: Benchmark = {
  summary: `newest version of one of ${KEYS} keys in Spanner's emulator, on a follower`,
  cases: [getCase("64 callers", 64, 2), getCase("1 caller", 1, 0.2)],
};
