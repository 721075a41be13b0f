import { type SpannerWorld, spannerWorld } from "../contract/spanner-world.ts";
import { Lease } from "../../src/lock/lease.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import { type Logger, silentLogger } from "../../src/observe/logger.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import type { Store } from "../../src/store/ports.ts";
import { openSpanner } from "../../src/store/spanner/open.ts";
import { microsOf } from "../../src/store/spanner/values.ts";
import { TcpProxy } from "./proxy.ts";
import type { Sql } from "./sql.ts";

/** Name of the lock's row in these tests: that of a node's lock, by its default name. */
export const ROW = "hedge/spindle/lockname/hedgerow";

export interface FaultyWorld extends SpannerWorld {
  /** Between the database and whoever is to suffer. */
  readonly proxy: TcpProxy;
}

/** A database of its own, and a way to it that loses what it is told to lose. */
export async function faultyWorld(): Promise<FaultyWorld> {
  const world = await spannerWorld();
  const proxy = await TcpProxy.before(world.emulatorHost);
  return {
    ...world,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await world[Symbol.asyncDispose]();
    },
  };
}

export function openStore(path: string, emulatorHost: string): Promise<Store> {
  const tables = { lockTable: "locktable", logTable: "logtable" };
  return openSpanner({ path, ...tables, runtime: systemRuntime(), emulatorHost });
}

export interface ContenderOptions {
  readonly path: string;
  /** `host:port` of the emulator, or of a proxy. */
  readonly host: string;
  readonly writer: string;
  readonly leaseMs: number;
  /** Called within the gain and the loss of the lease. */
  readonly onChange?: (leads: boolean) => void;
}

/** The whole loop of a lease, on a store of its own; disposing ends it. */
export interface Contender extends AsyncDisposable {
  readonly lease: Lease;
  readonly store: Store;
  /** Tokens under which it was told to lead. */
  readonly tokens: readonly number[];
  /** Calls to the store that failed, as in `renew unavailable`. */
  readonly failures: readonly string[];
}

export async function startContender(options: ContenderOptions): Promise<Contender> {
  const { path, host, writer, leaseMs, onChange } = options;
  const store = await openStore(path, host);
  const tokens: number[] = [];
  const failures: string[] = [];
  const failed: Logger["warn"] = (message, fields) => {
    if (message === "lock call failed") failures.push(`${fields?.call} ${fields?.code}`);
  };
  const lease = new Lease({
    store: store.lock,
    runtime: systemRuntime(),
    logger: {
      ...silentLogger,
      // What comes again soon is told at debug.
      debug: failed,
      warn: failed,
    },
    timing: leaseTiming(leaseMs),
    rowName: ROW,
    writer,
    onChange: (leads, token) => {
      if (leads) tokens.push(token);
      onChange?.(leads);
    },
    onRow: () => {},
    fenced: true,
  });
  lease.start();
  return {
    lease,
    store,
    tokens,
    failures,
    [Symbol.asyncDispose]: async () => {
      await lease.stop();
      await store.close();
    },
  };
}

/** The lock's row as the database has it, whatever is lost on the way elsewhere; times in microseconds. */
export async function lockRow(sql: Sql) {
  const query = "SELECT writer, token, heartbeat FROM locktable WHERE name = @name";
  const [row] = await sql.query(query, { name: ROW });
  if (row === undefined) return null;
  const [writer = null, token, heartbeat] = row;
  return { writer, token: micros(token), heartbeat: micros(heartbeat) };
}

function micros(timestamp: string | null | undefined): number {
  return microsOf({ stringValue: timestamp ?? null }) ?? 0;
}
