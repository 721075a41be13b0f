// The stores that clusters of real processes are tested on.
import { describe } from "bun:test";
import { freshDatabase } from "../spanner/database.ts";
import { describeWithEmulator } from "../spanner/rule.ts";

/** A store for the nodes of one cluster, with what they are started with. */
export interface ClusterStore extends AsyncDisposable {
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface StoreKind {
  readonly name: string;
  readonly describe: (name: string, tests: () => void) => void;
  readonly make: () => Promise<ClusterStore>;
  /** Milliseconds from a leader's kill -9 until writes are accepted again, at a lease of 2 s. */
  readonly killedMs: number;
  readonly clusterSizes: readonly number[];
  /**
   * Pause of each of many callers between two calls, in milliseconds. The emulator reads the whole log for each
   * query, so that long histories make its transactions slow, and slow ones give way to others for ever.
   */
  readonly pauseMs: number;
  /** A stop of the leader in the middle of a transaction may keep its database locked for others. */
  readonly pausedMayLock: boolean;
}

export const SQLITE: StoreKind = {
  name: "SQLite",
  describe,
  // The nodes' default: a file in the folder that they run in.
  make: async () => ({ flags: [], env: {}, [Symbol.asyncDispose]: async () => {} }),
  killedMs: 3_500,
  clusterSizes: [3],
  pauseMs: 60,
  pausedMayLock: true,
};

export const SPANNER: StoreKind = {
  name: "Spanner",
  describe: describeWithEmulator,
  make: async () => {
    const database = await freshDatabase();
    return {
      flags: ["--store", `spanner:${database.path}`],
      env: { SPANNER_EMULATOR_HOST: database.host },
      [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
    };
  },
  killedMs: 4_000,
  clusterSizes: [3, 4],
  pauseMs: 250,
  pausedMayLock: false,
};

/** Runs the tests once on each store. */
export function describeOnStores(what: string, tests: (store: StoreKind) => void): void {
  for (const store of [SQLITE, SPANNER]) {
    store.describe(`${what} on ${store.name}`, () => tests(store));
  }
}
