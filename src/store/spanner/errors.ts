import { HedgerowError, messageOf } from "../../errors.ts";
import { environmentVariable } from "../../runtime/system.ts";
import { NODE_ROLE } from "./permissions.ts";

/** gRPC's status codes, as in google.rpc.Code. */
export const Grpc = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** After these a commit may have taken effect; after any other code it surely has not. */
const VAGUE: ReadonlySet<number | null> = new Set([
  null,
  Grpc.CANCELLED,
  Grpc.UNKNOWN,
  Grpc.DEADLINE_EXCEEDED,
  Grpc.INTERNAL,
  Grpc.UNAVAILABLE,
  Grpc.DATA_LOSS,
]);

/** After these nothing is known of a transaction that the call was about: the call itself was turned away. */
const TURNED_AWAY: ReadonlySet<number | null> = new Set([
  Grpc.PERMISSION_DENIED,
  Grpc.RESOURCE_EXHAUSTED,
  Grpc.UNIMPLEMENTED,
  Grpc.UNAUTHENTICATED,
]);

/** The gRPC status code of what Google's clients throw; null for what is none of Spanner's answers. */
export function grpcCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("code" in error)) return null;
  return typeof error.code === "number" ? error.code : null;
}

export function isVague(error: unknown): boolean {
  return VAGUE.has(grpcCode(error));
}

/** Whether a transaction whose commit was sent before may have been committed, or may yet be. */
export function leavesOpen(error: unknown): boolean {
  return isVague(error) || TURNED_AWAY.has(grpcCode(error));
}

/** What Spanner says does not exist, as in "Session"; null if it does not say. */
export function missingResource(error: unknown): string | null {
  if (grpcCode(error) !== Grpc.NOT_FOUND) return null;
  const { statusDetails } = error as { statusDetails?: readonly { resourceType?: string }[] };
  const type = statusDetails?.find((detail) => detail.resourceType)?.resourceType;
  return type?.slice(type.lastIndexOf(".") + 1) ?? null;
}

/** The session was deleted, as Spanner does with one that was idle for an hour. */
export function isSessionGone(error: unknown): boolean {
  return missingResource(error) === "Session";
}

/** The only place where Spanner's errors become ours; `what` names the call. Of a call that did nothing. */
export function spannerError(what: string, database: string, error: unknown): HedgerowError {
  if (error instanceof HedgerowError) return error;
  const name = `spanner:${database}`;
  const failed = (code: "unavailable" | "store_failed", says: string) =>
    new HedgerowError(code, `${what}: ${says}`, { cause: error });
  switch (grpcCode(error)) {
    case Grpc.UNAVAILABLE:
      return failed("unavailable", unreachable(database));
    case Grpc.DEADLINE_EXCEEDED:
    case Grpc.CANCELLED:
      return noAnswer(what, database, error);
    case Grpc.ABORTED:
      return failed("unavailable", `${name} let other transactions go first`);
    case Grpc.ALREADY_EXISTS:
      return new HedgerowError("conflict", `${what}: a row to be inserted is there already`, {
        cause: error,
      });
    case Grpc.RESOURCE_EXHAUSTED:
      return failed("unavailable", `${name} is over its quota: give the instance more capacity`);
    case Grpc.PERMISSION_DENIED:
      if ((error as { reason?: string }).reason === "SERVICE_DISABLED") {
        return failed("store_failed", `${name}: run gcloud services enable spanner.googleapis.com`);
      }
      return failed("store_failed", `${name} refuses this account: grant it ${NODE_ROLE}`);
    case Grpc.UNAUTHENTICATED:
      return failed("store_failed", `${name} does not accept the credentials: ${CREDENTIALS}`);
    case Grpc.NOT_FOUND:
    case Grpc.INVALID_ARGUMENT: // as SQL has it; no argument of a caller's gets here unchecked
      return failed("store_failed", missing(name, missingResource(error), oneLine(error)));
    case null:
      return failed("store_failed", `${name}: ${oneLine(error)}: ${CREDENTIALS}`);
    default:
      return failed("store_failed", `${name}: ${oneLine(error)}`);
  }
}

const EMULATOR = "SPANNER_EMULATOR_HOST";

/** That nobody answers where the database is looked for. */
export function unreachable(database: string): string {
  const emulator = environmentVariable(EMULATOR);
  const name = `spanner:${database} cannot be reached at`;
  return emulator === null
    ? `${name} spanner.googleapis.com: check the network`
    : `${name} ${emulator}: start the emulator there, or mend or unset ${EMULATOR}`;
}

const CREDENTIALS =
  "use Workload Identity, GOOGLE_APPLICATION_CREDENTIALS, or gcloud auth application-default login";

function missing(name: string, resource: string | null, says: string): string {
  const apply = `hedgerow schema apply --store ${name}`;
  if (resource === "Instance") {
    // The emulator's costs nothing.
    const create = environmentVariable(EMULATOR) === null ? "create it, then " : "";
    return `${name}: there is no such instance: ${create}run ${apply}`;
  }
  if (resource === "Database") return `${name}: there is no such database: run ${apply}`;
  return `${name} lacks a table or a column (${says}): run ${apply}`;
}

function oneLine(error: unknown): string {
  return (messageOf(error).split("\n", 1)[0] as string).slice(0, 200);
}

/** Of a call that did nothing before its time was over. */
export function noAnswer(what: string, database: string, error: unknown): HedgerowError {
  const message = `${what}: spanner:${database} did not answer in time`;
  return new HedgerowError("unavailable", message, { cause: error });
}

/** Of a commit that was sent, and whose answer did not come. */
export function unknownOutcome(what: string, database: string, error: unknown): HedgerowError {
  return new HedgerowError(
    "outcome_unknown",
    `${what}: spanner:${database} did not say whether it was committed; the write may or may not be there`,
    { cause: error },
  );
}
