import { HedgerowError } from "../../errors.ts";
import { Operation } from "../../runtime/operation.ts";
import type { CallOptions, Runtime } from "../../runtime/runtime.ts";
import { Admin } from "./admin.ts";
import { makeClient } from "./client.ts";
import { Connection } from "./connection.ts";
import { converge, type Found } from "./converge.ts";
import { checkTableNames, type TableNames } from "./ddl.ts";
import { missingResource } from "./errors.ts";
import { inspectSchema } from "./inspect.ts";
import { parsePath } from "./path.ts";

export interface ApplyOptions extends TableNames {
  /** `projects/P/instances/I/databases/D` */
  readonly path: string;
  /** `host:port` of an emulator; null for Cloud Spanner itself. */
  readonly emulatorHost: string | null;
  readonly runtime: Runtime;
}

const DEFAULT_TIMEOUT_MS = 600_000;

/**
 * Creates what the database lacks: tables, columns, the index, the database itself, and on the emulator its
 * instance, which elsewhere costs money and is its owner's to plan. Gives what was added, as in
 * `table locktable`; nothing if nothing was missing. Safe to repeat, and to do from several places at once.
 * Throws `store_failed` where something stands in the way that must not be changed, and `timeout` after 10
 * minutes by default: what Spanner has begun, it goes on with.
 */
export async function applySchema(
  { path, emulatorHost, runtime, ...tables }: ApplyOptions,
  options: CallOptions = {},
): Promise<string[]> {
  const database = parsePath(path);
  checkTableNames(tables);
  using operation = new Operation(runtime.clock, "schema apply", options, DEFAULT_TIMEOUT_MS);
  await using admin = new Admin(database, emulatorHost, runtime);
  await using stack = new AsyncDisposableStack();
  const client = await makeClient(emulatorHost);
  const connection = stack.adopt(new Connection({ client, database: path, runtime }), (made) =>
    made.close(),
  );
  const { signal } = operation;
  const look = () => inspectSchema(connection, tables, { signal }).catch(absent);
  try {
    return await converge(database, look, {
      createInstance: emulatorHost === null ? null : () => admin.createInstance(operation),
      createDatabase: () => admin.createDatabase(operation),
      updateDdl: (statements) => admin.updateDdl(operation, statements),
    });
  } catch (error) {
    throw HedgerowError.is(error, "timeout") && error === operation.ended
      ? stillBusy(error)
      : error;
  }
}

/** What there is none of, of an error that says so. */
function absent(error: unknown): Found {
  const resource = error instanceof Error ? missingResource(error.cause) : null;
  if (resource === "Instance") return "no instance";
  if (resource === "Database") return "no database";
  throw error;
}

function stillBusy(ended: HedgerowError): HedgerowError {
  const message = `${ended.message}: Spanner goes on with what it has begun, so run it again later`;
  return new HedgerowError("timeout", message, { cause: ended });
}
