import type {
  DatabaseAdminClient,
  InstanceAdminClient,
} from "@google-cloud/spanner/build/src/v1/index.js";
import { HedgerowError, messageOf } from "../../errors.ts";
import { type Operation, sleep } from "../../runtime/operation.ts";
import { backoffMs, type Runtime } from "../../runtime/runtime.ts";
import { clientOptions } from "./client.ts";
import { withCredentials } from "./credentials.ts";
import { Grpc, grpcCode, spannerError } from "./errors.ts";
import type { DatabasePath } from "./path.ts";

/** Pauses between two looks at work that Spanner goes on with by itself, in milliseconds. */
const POLL_MS = { first: 100, last: 5_000 };

/** What Spanner does in the background. */
interface Work {
  readonly name?: string | null;
  readonly done?: boolean | null;
  readonly error?: { readonly code?: number | null; readonly message?: string | null } | null;
}

type AdminClient = DatabaseAdminClient | InstanceAdminClient;
type GetOperation = AdminClient["operationsClient"]["getOperation"];
type StartWork = () => Promise<[{ readonly latestResponse: Work }, ...unknown[]]>;

/** Spanner's administration of one database. Every call ends by its operation's deadline. */
export class Admin implements AsyncDisposable {
  #databases: DatabaseAdminClient | null = null;

  constructor(
    private readonly path: DatabasePath,
    private readonly emulatorHost: string | null,
    private readonly runtime: Runtime,
  ) {}

  /** On the emulator; false if somebody else has just created it. */
  async createInstance(operation: Operation): Promise<boolean> {
    const { project, instance } = this.path;
    const { InstanceAdminClient } = await import("@google-cloud/spanner/build/src/v1/index.js");
    const client = await withCredentials(
      new InstanceAdminClient(await clientOptions(this.emulatorHost)),
    );
    try {
      const parent = `projects/${project}`;
      const config = `${parent}/instanceConfigs/emulator-config`;
      const request = {
        parent,
        instanceId: instance,
        instance: { config, displayName: instance, nodeCount: 1 },
      };
      return await this.#create(operation, client, () =>
        client.createInstance(request, callOptions(operation)),
      );
    } finally {
      await client.close();
    }
  }

  /** Without tables; false if somebody else has just created it. */
  async createDatabase(operation: Operation): Promise<boolean> {
    const { project, instance, database } = this.path;
    const client = await this.#client();
    const request = {
      parent: `projects/${project}/instances/${instance}`,
      createStatement: `CREATE DATABASE \`${database}\``,
    };
    try {
      return await this.#create(operation, client, () =>
        client.createDatabase(request, callOptions(operation)),
      );
    } catch (error) {
      throw codeOf(error) === Grpc.PERMISSION_DENIED ? mayNotCreate(this.path, error) : error;
    }
  }

  /** Runs the statements one after the other; those before one that fails have taken effect. */
  async updateDdl(operation: Operation, statements: readonly string[]): Promise<void> {
    const client = await this.#client();
    const request = { database: this.path.name, statements: [...statements] };
    try {
      await this.#finish(operation, client, () =>
        client.updateDatabaseDdl(request, callOptions(operation)),
      );
    } catch (error) {
      throw codeOf(error) === Grpc.FAILED_PRECONDITION ? standsInTheWay(error) : error;
    }
  }

  /** Of these permissions those that the account has; null where there are none to have, as on the emulator. */
  async grantedPermissions(
    operation: Operation,
    permissions: readonly string[],
  ): Promise<readonly string[] | null> {
    const client = await this.#client();
    const request = { resource: this.path.name, permissions: [...permissions] };
    try {
      const asked = client.testIamPermissions(request, callOptions(operation));
      const [granted] = await operation.race(asked);
      return granted.permissions ?? [];
    } catch (error) {
      if (grpcCode(error) === Grpc.UNIMPLEMENTED) return null;
      throw spannerError(operation.what, this.path.name, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#databases?.close();
  }

  async #client(): Promise<DatabaseAdminClient> {
    const { DatabaseAdminClient } = await import("@google-cloud/spanner/build/src/v1/index.js");
    this.#databases ??= await withCredentials(
      new DatabaseAdminClient(await clientOptions(this.emulatorHost)),
    );
    return this.#databases;
  }

  /** Starts work that creates something; false if that is there already. */
  async #create(operation: Operation, client: AdminClient, start: StartWork): Promise<boolean> {
    try {
      await this.#finish(operation, client, start);
      return true;
    } catch (error) {
      if (codeOf(error) === Grpc.ALREADY_EXISTS) return false;
      throw error;
    }
  }

  /** Starts work and waits until it is done. */
  async #finish(operation: Operation, client: AdminClient, start: StartWork): Promise<void> {
    const { clock, random } = this.runtime;
    const { what, signal } = operation;
    try {
      let work: Work = (await operation.race(start()))[0].latestResponse;
      for (let attempt = 0; !work.done; attempt++) {
        await sleep(clock, backoffMs(random, attempt, POLL_MS.first, POLL_MS.last), signal);
        work = await look(operation, client, work);
      }
      if (work.error) throw Object.assign(new Error(work.error.message ?? ""), work.error);
    } catch (error) {
      throw spannerError(what, this.path.name, error);
    }
  }
}

/** How far the work is; as before if nobody can tell right now, for it goes on all the same. */
async function look(operation: Operation, client: AdminClient, work: Work): Promise<Work> {
  try {
    const request = { name: work.name ?? "" } as Parameters<GetOperation>[0];
    const asked = client.operationsClient.getOperation(request, callOptions(operation));
    const [answer] = await operation.race(asked);
    return answer;
  } catch (error) {
    if (grpcCode(error) === Grpc.UNAVAILABLE) return work;
    throw error;
  }
}

/** A call is made once: what may be repeated is repeated by whoever knows. */
function callOptions(operation: Operation) {
  return { timeout: Math.ceil(operation.remainingMs()), retry: null };
}

/** gRPC's status behind an error of ours. */
function codeOf(error: unknown): number | null {
  return error instanceof Error ? grpcCode(error.cause) : null;
}

function mayNotCreate({ name, instance }: DatabasePath, cause: unknown): HedgerowError {
  return new HedgerowError(
    "store_failed",
    `this account may not create spanner:${name}: grant it roles/spanner.databaseAdmin on the instance ${instance}, or create the database by other means`,
    { cause },
  );
}

/** As where something else has a table's name. */
function standsInTheWay(error: unknown): HedgerowError {
  return new HedgerowError(
    "store_failed",
    `${messageOf(error)}: mend the schema by hand, or name other tables with --lock-table and --log-table`,
    { cause: error },
  );
}
