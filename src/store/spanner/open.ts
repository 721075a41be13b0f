import type { Runtime } from "../../runtime/runtime.ts";
import type { Store } from "../ports.ts";
import { makeClient, type SpannerClient } from "./client.ts";
import { Connection } from "./connection.ts";
import { checkSchema } from "./inspect.ts";
import { parsePath } from "./path.ts";
import { SpannerStore } from "./store.ts";

export interface SpannerOptions {
  /** `projects/P/instances/I/databases/D` */
  readonly path: string;
  readonly lockTable: string;
  /** Empty: no log, no semaphores. */
  readonly logTable: string;
  readonly runtime: Runtime;
  /** `host:port` of an emulator; null for Cloud Spanner itself. */
  readonly emulatorHost: string | null;
}

/**
 * Opens a Spanner database whose tables exist. Throws `invalid_argument` for a bad path or table name,
 * `unavailable` if Spanner cannot be reached, `store_failed` if it refuses, or lacks a table.
 */
export async function openSpanner(options: SpannerOptions): Promise<Store> {
  const { path, lockTable, logTable, runtime, emulatorHost } = options;
  parsePath(path);
  const another = (former: SpannerClient) => makeClient(emulatorHost, former);
  const connect = async () =>
    new Connection(await makeClient(emulatorHost), path, runtime, another);
  const lockConnection = await connect();
  const connection = await connect();
  const store = new SpannerStore({ lockTable, logTable, lockConnection, connection });
  try {
    await checkSchema(lockConnection, { lockTable, logTable });
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}
