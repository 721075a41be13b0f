// Databases in the emulator, through Google's administration clients. Imports nothing of src.
import {
  DatabaseAdminClient,
  InstanceAdminClient,
  SpannerClient,
} from "@google-cloud/spanner/build/src/v1/index.js";
import { credentials } from "@grpc/grpc-js";
import { sharedEmulator } from "./emulator.ts";

/** A database as it is created for the Go system. */
export const GO_SYSTEM_TABLES = [
  `CREATE TABLE locktable (
    name STRING(MAX) NOT NULL,
    heartbeat TIMESTAMP OPTIONS (allow_commit_timestamp=true),
    token TIMESTAMP OPTIONS (allow_commit_timestamp=true),
    writer STRING(MAX),
  ) PRIMARY KEY (name)`,
  `CREATE TABLE logtable (
    id STRING(MAX),
    key STRING(MAX),
    value STRING(MAX),
    leader STRING(MAX),
    timestamp TIMESTAMP OPTIONS (allow_commit_timestamp=true),
  ) PRIMARY KEY (key, id)`,
] as const;

export interface DatabaseName {
  readonly project: string;
  readonly instance: string;
  readonly database: string;
}

const CALL = { timeout: 10_000 };
const ALREADY_EXISTS = 6;

/** How Google's clients reach the emulator at `host`. */
export function emulatorOptions(host: string) {
  const url = new URL(`http://${host}`);
  return {
    servicePath: url.hostname,
    port: Number(url.port),
    sslCreds: credentials.createInsecure(),
    projectId: "emulator",
    // Or Google's library looks for a metadata server, to learn what is said here.
    clientOptions: { universe_domain: "googleapis.com" },
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 20,
    "grpc.max_reconnect_backoff_ms": 100,
  };
}

export function databasePath({ project, instance, database }: DatabaseName): string {
  return `projects/${project}/instances/${instance}/databases/${database}`;
}

/** Creates the database, and its instance where there is none; gives its path. An instance holds 100. */
export async function createDatabase(
  host: string,
  name: DatabaseName,
  statements: readonly string[] = GO_SYSTEM_TABLES,
): Promise<string> {
  await createInstance(host, name);
  const admin = new DatabaseAdminClient(emulatorOptions(host));
  try {
    const parent = `projects/${name.project}/instances/${name.instance}`;
    const createStatement = `CREATE DATABASE \`${name.database}\``;
    const request = { parent, createStatement, extraStatements: [...statements] };
    const [operation] = await admin.createDatabase(request, CALL);
    await operation.promise();
    return databasePath(name);
  } finally {
    await admin.close();
  }
}

/** Creates the instance, if there is none of that name. */
export async function createInstance(
  host: string,
  { project, instance }: Omit<DatabaseName, "database">,
): Promise<void> {
  const admin = new InstanceAdminClient(emulatorOptions(host));
  try {
    const parent = `projects/${project}`;
    const [operation] = await admin.createInstance(
      {
        parent,
        instanceId: instance,
        instance: {
          config: `${parent}/instanceConfigs/emulator-config`,
          displayName: instance,
          nodeCount: 1,
        },
      },
      CALL,
    );
    await operation.promise();
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === ALREADY_EXISTS)) throw error;
  } finally {
    await admin.close();
  }
}

/** With its databases; `name` is `projects/P/instances/I`. Nothing happens if there is none. */
export async function deleteInstance(host: string, name: string): Promise<void> {
  const admin = new InstanceAdminClient(emulatorOptions(host));
  try {
    await admin.deleteInstance({ name }, CALL);
  } finally {
    await admin.close();
  }
}

/** Runs these statements on the database's schema. */
export async function changeSchema(
  { host, path }: Pick<FreshDatabase, "host" | "path">,
  ...statements: string[]
): Promise<void> {
  const admin = new DatabaseAdminClient(emulatorOptions(host));
  try {
    const [operation] = await admin.updateDatabaseDdl({ database: path, statements }, CALL);
    await operation.promise();
  } finally {
    await admin.close();
  }
}

export async function dropDatabase(host: string, path: string): Promise<void> {
  const admin = new DatabaseAdminClient(emulatorOptions(host));
  try {
    await admin.dropDatabase({ database: path }, CALL);
  } finally {
    await admin.close();
  }
}

/** A database of one test, dropped by disposing. */
export interface FreshDatabase extends AsyncDisposable {
  readonly host: string;
  /** `projects/P/instances/I/databases/D` */
  readonly path: string;
}

let made = 0;

/** A new database in the shared emulator, with these tables. */
export async function freshDatabase(
  statements: readonly string[] = GO_SYSTEM_TABLES,
): Promise<FreshDatabase> {
  const host = await sharedEmulator();
  // Of this process alone: somebody else's tests may use the same emulator.
  const database = `test-${process.pid}-${made++}`;
  const name = { project: "hedgerow", instance: "tests", database };
  const path = await createDatabase(host, name, statements);
  return { host, path, [Symbol.asyncDispose]: () => dropDatabase(host, path) };
}

/** A client of the data itself, to look behind the store's back. The caller closes it. */
export function dataClient(host: string): SpannerClient {
  return new SpannerClient(emulatorOptions(host));
}
