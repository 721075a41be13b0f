import { HedgerowError } from "../../errors.ts";
import { Operation } from "../../runtime/operation.ts";
import type { CallOptions, Runtime } from "../../runtime/runtime.ts";
import { Admin } from "./admin.ts";
import { makeClient } from "./client.ts";
import type { Missing } from "./compare.ts";
import { Connection } from "./connection.ts";
import { checkTableNames, type TableNames } from "./ddl.ts";
import { missingResource } from "./errors.ts";
import { type Inspection, inspectSchema } from "./inspect.ts";
import { type DatabasePath, parsePath } from "./path.ts";

export interface ApplyOptions extends TableNames {
  /** `projects/P/instances/I/databases/D` */
  readonly path: string;
  /** `host:port` of an emulator; null for Cloud Spanner itself. */
  readonly emulatorHost: string | null;
  readonly runtime: Runtime;
}

const DEFAULT_TIMEOUT_MS = 600_000;
/** Looks at the database: each but the last found something to add. */
const MAX_LOOKS = 10;

/**
 * Creates what the database lacks: tables, columns, the index, the database itself, and on the emulator its
 * instance. Gives what was added, as in `table locktable`; nothing if nothing was missing. Safe to repeat, and
 * to do from several places at once. Throws `store_failed` where something stands in the way that must not be
 * changed, and `timeout` after 10 minutes by default: what Spanner has begun, it goes on with.
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
  const connection = stack.adopt(new Connection(client, path, runtime), (made) => made.close());
  const look = () => inspectSchema(connection, tables, { signal: operation.signal });
  try {
    return await converge(operation, admin, look, database, emulatorHost !== null);
  } catch (error) {
    throw HedgerowError.is(error, "timeout") && error === operation.ended
      ? stillBusy(error)
      : error;
  }
}

async function converge(
  operation: Operation,
  admin: Admin,
  look: () => Promise<Inspection>,
  database: DatabasePath,
  isEmulator: boolean,
): Promise<string[]> {
  const added: string[] = [];
  let failed: { readonly error: unknown; readonly lacking: number } | null = null;
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const found = await look().catch(absent);
    if (found === "Instance") {
      if (!isEmulator) throw noInstance(database);
      if (await admin.createInstance(operation)) added.push(`instance ${database.instance}`);
      continue;
    }
    if (found === "Database") {
      if (await admin.createDatabase(operation)) added.push(`database ${database.database}`);
      continue;
    }
    const lacking = missingOf(found, database);
    // Somebody else may have been faster. If not, the statements cannot be run.
    if (failed !== null && lacking.length >= failed.lacking) throw failed.error;
    if (lacking.length === 0) return added;
    try {
      await admin.updateDdl(
        operation,
        lacking.map(({ statement }) => statement),
      );
      return [...added, ...lacking.map(({ what }) => what)];
    } catch (error) {
      failed = { error, lacking: lacking.length };
    }
  }
  throw new HedgerowError(
    "unavailable",
    `spanner:${database.name} is being changed by others: try again`,
  );
}

/** What there is none of, of an error that says so. */
function absent(error: unknown): "Instance" | "Database" {
  const resource = error instanceof Error ? missingResource(error.cause) : null;
  if (resource === "Instance" || resource === "Database") return resource;
  throw error;
}

function missingOf(
  { problems, missing, missingIndex }: Inspection,
  { name }: DatabasePath,
): readonly Missing[] {
  if (problems.length > 0) {
    throw new HedgerowError("store_failed", `spanner:${name}: ${problems.join("; ")}`);
  }
  return missingIndex === null ? missing : [...missing, missingIndex];
}

function noInstance({ name, instance, project }: DatabasePath): HedgerowError {
  return new HedgerowError(
    "store_failed",
    `spanner:${name}: there is no such instance, and one costs money: gcloud spanner instances create ${instance} --project=${project} --config=regional-us-central1 --description=${instance} --processing-units=100`,
  );
}

function stillBusy(ended: HedgerowError): HedgerowError {
  const message = `${ended.message}: Spanner goes on with what it has begun, so run it again later`;
  return new HedgerowError("timeout", message, { cause: ended });
}
