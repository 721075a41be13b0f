import { HedgerowError } from "../../errors.ts";
import type { Missing } from "./compare.ts";
import type { Inspection } from "./inspect.ts";
import type { DatabasePath } from "./path.ts";

/** What a look at the database finds: its schema, or what there is none of. */
export type Found = Inspection | "no instance" | "no database";

/** The changes that can be made; of creations false if somebody else has just made them. */
export interface Changes {
  /** null where that is not ours to do. */
  readonly createInstance: (() => Promise<boolean>) | null;
  createDatabase(): Promise<boolean>;
  updateDdl(statements: readonly string[]): Promise<void>;
}

/** Looks at the database: each but the last found something to add. */
const MAX_LOOKS = 10;

/**
 * Looks and adds what is missing until nothing is, and gives what was added. Others may do the same at the
 * same time. Throws `store_failed` where something must not be changed, and what looks and changes throw.
 */
export async function converge(
  database: DatabasePath,
  look: () => Promise<Found>,
  changes: Changes,
): Promise<string[]> {
  const added: string[] = [];
  let failed: { readonly error: unknown; readonly lacking: number } | null = null;
  for (let looks = 0; looks < MAX_LOOKS; looks++) {
    const found = await look();
    if (found === "no instance") {
      if (changes.createInstance === null) throw noInstance(database);
      if (await changes.createInstance()) added.push(`instance ${database.instance}`);
      continue;
    }
    if (found === "no database") {
      if (await changes.createDatabase()) added.push(`database ${database.database}`);
      continue;
    }
    const lacking = missingOf(found, database);
    // Somebody else may have been faster. If not, the statements cannot be run.
    if (failed !== null && lacking.length >= failed.lacking) throw failed.error;
    if (lacking.length === 0) return added;
    try {
      await changes.updateDdl(lacking.map(({ statement }) => statement));
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
