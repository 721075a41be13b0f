import { ddlStatements } from "../../src/store/spanner/ddl.ts";
import { createDatabase } from "../../test/spanner/database.ts";
import { startEmulator } from "../../test/spanner/emulator.ts";
import { findBinary } from "../../test/spanner/find.ts";
import { Sql } from "../../test/spanner/sql.ts";
import type { NodeStore } from "../contenders/node.ts";
import { type Contender, NotHere, type Sample } from "../harness.ts";
import { type Pair, pair, type Server } from "../pair.ts";

/** Of the new processes of each round, before it counts. */
const WARM_UP_SECONDS = 3;
const NAME = { project: "hedgerow", instance: "bench", database: "bench" };
const TABLES = { lockTable: "locktable", logTable: "logtable" };

/** A database in an emulator that has nothing else. */
export interface FreshStore extends NodeStore {
  /** `projects/P/instances/I/databases/D` */
  readonly path: string;
}

export interface SpannerPair extends Omit<Pair, "server"> {
  /** Beside the emulator: what the clients call, if anything. */
  readonly server: (store: FreshStore) => Promise<Server>;
  /** Fills the database, before the server starts. */
  readonly prepare?: (sql: Sql) => Promise<void>;
  /** Looks at the database at the end of the round, and adds to what was measured. */
  readonly inspect?: (sql: Sql) => Promise<Sample>;
}

/** Clients on an emulator that is new in each round: it slows down as it fills. */
export function onFreshEmulator(options: SpannerPair): Contender {
  return {
    name: options.name,
    role: options.role,
    async start() {
      const found = findBinary();
      if ("missing" in found) throw new NotHere(found.missing);
      return {
        measure: (seconds) => measureOnce(options, seconds),
        async [Symbol.asyncDispose]() {}, // each round has ended what it started
      };
    },
  };
}

async function measureOnce(options: SpannerPair, seconds: number): Promise<Sample> {
  await using emulator = await startEmulator();
  const path = await createDatabase(emulator.host, NAME, ddlStatements(TABLES));
  await using sql = new Sql(emulator.host, path);
  await options.prepare?.(sql);
  const store = { store: `spanner:${path}`, emulator: emulator.host, path };
  await using running = await pair({ ...options, server: () => options.server(store) }).start();
  await running.measure(WARM_UP_SECONDS);
  const sample = await running.measure(seconds);
  return { ...sample, ...(await options.inspect?.(sql)) };
}

/** The clients talk to the emulator itself. */
export async function noServer(store: FreshStore): Promise<Server> {
  return { info: store, async [Symbol.asyncDispose]() {} };
}
