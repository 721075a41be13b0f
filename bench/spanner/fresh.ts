import { ddlStatements } from "../../src/store/spanner/ddl.ts";
import { createDatabase } from "../../test/spanner/database.ts";
import { type Emulator, startEmulator } from "../../test/spanner/emulator.ts";
import { findBinary } from "../../test/spanner/find.ts";
import { Sql } from "../../test/spanner/sql.ts";
import type { NodeStore } from "../contenders/node.ts";
import { type Contender, NotHere, type Running, type Sample } from "../harness.ts";
import { type Pair, pair, type Server } from "../pair.ts";
import { waitUntil } from "../processes.ts";

/** Of the new processes of each round, before it counts. */
const WARM_UP_SECONDS = 3;
const NAME = { project: "hedgerow", instance: "bench", database: "bench" };
const STATEMENTS = ddlStatements({ lockTable: "locktable", logTable: "logtable" });

const RECONNECT_DEADLINE_MS = 10_000;
const RECONNECT_SECONDS = 0.02;

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
  /**
   * The emulator is killed and started again after the warm-up, and measured for so many seconds at most.
   * For reads: each call drives its clock ahead by about a microsecond for good, and a strong read waits
   * until the machine's clock has come that far.
   */
  readonly maxSecondsOfReads?: number;
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
  const path = await createDatabase(emulator.host, NAME, STATEMENTS);
  await using sql = new Sql(emulator.host, path);
  await options.prepare?.(sql);
  const store = { store: `spanner:${path}`, emulator: emulator.host, path };
  await using running = await pair({ ...options, server: () => options.server(store) }).start();
  await running.measure(WARM_UP_SECONDS);
  if (options.maxSecondsOfReads !== undefined) await replace(emulator, options, running);
  const sample = await running.measure(Math.min(seconds, options.maxSecondsOfReads ?? seconds));
  return { ...sample, ...(await options.inspect?.(sql)) };
}

/** Puts a new emulator with a database of the same name in the place of the old one. */
async function replace(emulator: Emulator, { prepare }: SpannerPair, running: Running) {
  await emulator.stop();
  await emulator.start();
  const path = await createDatabase(emulator.host, NAME, STATEMENTS);
  await using sql = new Sql(emulator.host, path);
  await prepare?.(sql);
  // Connections and sessions are lost: calls fail until there are new ones.
  await waitUntil("the clients call the new emulator", RECONNECT_DEADLINE_MS, () =>
    running.measure(RECONNECT_SECONDS).then(
      () => true,
      () => false,
    ),
  );
}

/** The clients talk to the emulator itself. */
export async function noServer(store: FreshStore): Promise<Server> {
  return { info: store, async [Symbol.asyncDispose]() {} };
}
