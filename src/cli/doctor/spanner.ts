import { HedgerowError } from "../../errors.ts";
import { Operation } from "../../runtime/operation.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { Admin } from "../../store/spanner/admin.ts";
import { makeClient, type SpannerClient } from "../../store/spanner/client.ts";
import { Connection } from "../../store/spanner/connection.ts";
import { checkCredentials } from "../../store/spanner/credentials.ts";
import { applyCommand, inspectSchema, missingText } from "../../store/spanner/inspect.ts";
import { measure, type Measured } from "../../store/spanner/measure.ts";
import { parsePath } from "../../store/spanner/path.ts";
import { NODE_PERMISSIONS, NODE_ROLE } from "../../store/spanner/permissions.ts";
import { failed, failedBy, fine, type Finding } from "./finding.ts";
import { lookInside } from "./leader.ts";
import type { StoreQuestion, StoreReport } from "./question.ts";

/** Clocks this many milliseconds apart are told. */
const MAX_APART_MS = 1_000;
/** Of one question about the account, in milliseconds. */
const ACCOUNT_TIMEOUT_MS = 10_000;

/**
 * Stops at the first check without which the others mean nothing. Creates nothing: `schema apply` does. Throws
 * `invalid_argument` for what nothing can be looked at with.
 */
export async function checkSpanner(
  question: StoreQuestion,
  path: string,
  emulatorHost: string | null,
  runtime: Runtime,
): Promise<StoreReport> {
  const findings: Finding[] = [];
  const report = (leader: string | null): StoreReport => ({ findings, writtenMs: null, leader });
  /** What `work` gives; null if it failed, which then is a finding. */
  const attempt = <T>(check: string, work: Promise<T>): Promise<T | null> =>
    work.catch((error: unknown) => {
      if (HedgerowError.is(error, "invalid_argument")) throw error;
      findings.push(failedBy(check, error));
      return null;
    });

  const access = emulatorHost === null ? "credentials" : "emulator";
  const client = await attempt(access, makeClient(emulatorHost));
  if (client === null) return report(null);
  await using stack = new AsyncDisposableStack();
  const connection = stack.adopt(new Connection({ client, database: path, runtime }), (made) =>
    made.close(),
  );
  const admitted = await attempt(access, checkAccess(client, emulatorHost, runtime));
  if (admitted === null) return report(null);
  findings.push(admitted);

  const measured = await attempt("store", measure(connection, runtime.clock));
  if (measured === null) return report(null);
  findings.push(fine("store", `spanner:${path} answers in ${Math.ceil(measured.roundTripMs)} ms`));
  findings.push(compareClocks(measured));

  const tables = await attempt("schema", checkTables(connection, question));
  if (tables !== null) findings.push(tables);
  const account = await attempt("permissions", checkPermissions(path, emulatorHost, runtime));
  if (account !== null) findings.push(account);
  if (tables?.ok !== true) return report(null);

  const inside = await attempt("lock", lookInside(question, runtime));
  findings.push(...(inside?.lease ?? []));
  return report(inside?.leader ?? null);
}

async function checkAccess(
  client: SpannerClient,
  emulatorHost: string | null,
  runtime: Runtime,
): Promise<Finding> {
  if (emulatorHost !== null) return fine("emulator", `${emulatorHost}, by SPANNER_EMULATOR_HOST`);
  using operation = new Operation(runtime.clock, "credentials", {}, ACCOUNT_TIMEOUT_MS);
  await checkCredentials(client, operation);
  return fine("credentials", "found");
}

function compareClocks({ aheadMs }: Measured): Finding {
  const apartMs = Math.abs(aheadMs);
  if (apartMs <= MAX_APART_MS) {
    return fine("database clock", `${Math.round(apartMs)} ms from this machine's`);
  }
  const where = `${(apartMs / 1_000).toFixed(1)} s ${aheadMs > 0 ? "behind" : "ahead of"}`;
  return failed(
    "database clock",
    `this machine's clock is ${where} the database's`,
    "set the clock, as by NTP",
  );
}

async function checkTables(connection: Connection, question: StoreQuestion): Promise<Finding> {
  const { problems, missing, missingIndex } = await inspectSchema(connection, question);
  const mend = `run ${applyCommand(connection.database, question)}`;
  if (problems.length > 0) return { check: "schema", ok: false, says: problems.join("; ") };
  if (missing.length > 0) return failed("schema", `the database ${missingText(missing)}`, mend);
  return missingIndex === null
    ? fine("schema", "nothing is missing")
    : fine("schema", `complete; ${missingIndex.what} would make get faster: ${mend}`);
}

async function checkPermissions(
  path: string,
  emulatorHost: string | null,
  runtime: Runtime,
): Promise<Finding> {
  await using admin = new Admin(parsePath(path), emulatorHost, runtime);
  using operation = new Operation(runtime.clock, "permissions", {}, ACCOUNT_TIMEOUT_MS);
  const granted = await admin.grantedPermissions(operation, NODE_PERMISSIONS);
  if (granted === null) return fine("permissions", "the emulator has none");
  const lacking = NODE_PERMISSIONS.filter((permission) => !granted.includes(permission));
  return lacking.length === 0
    ? fine("permissions", "all that a node needs")
    : failed(
        "permissions",
        `this account lacks ${lacking.join(", ")}`,
        `grant it ${NODE_ROLE} on the database`,
      );
}
