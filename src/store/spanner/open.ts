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
 * `unavailable` if Spanner cannot be reached, `store_failed` if it refuses, or lacks a table. `make` connects.
 */
export async function openSpanner(options: SpannerOptions, make = makeClient): Promise<Store> {
  const { path, lockTable, logTable, runtime, emulatorHost } = options;
  parsePath(path);
  const another = (former: SpannerClient) => make(emulatorHost, former);
  const shared = { database: path, runtime, another };
  await using opened = new AsyncDisposableStack();
  const connect = async (ordered: boolean) => {
    const client = await make(emulatorHost);
    const connection = new Connection({ ...shared, client, ordered });
    opened.defer(() => connection.close());
    return connection;
  };
  const lockConnection = await connect(false);
  await checkSchema(lockConnection, { lockTable, logTable });
  const connection = await connect(true);
  opened.move();
  return new SpannerStore({ lockTable, logTable, lockConnection, connection });
}
