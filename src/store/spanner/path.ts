import { HedgerowError } from "../../errors.ts";

/** How a database is named after `spanner:`. */
export const PATH_FORM = "projects/P/instances/I/databases/D";

/** Stands in a printed manifest until somebody edits it. */
export const PLACEHOLDER_PATH = "projects/PROJECT/instances/INSTANCE/databases/DATABASE";

export interface DatabasePath {
  /** `projects/P/instances/I/databases/D` */
  readonly name: string;
  readonly project: string;
  readonly instance: string;
  readonly database: string;
}

/** Google's rules for each part of the path: what it is made of, and how that is said. */
const PARTS = [
  ["project", /^[A-Za-z0-9][A-Za-z0-9.:-]{0,127}$/, "give the project's id, as in my-project-1"],
  [
    "instance",
    /^[a-z][a-z0-9-]{0,62}[a-z0-9]$/,
    "use 2 to 64 lower-case letters, digits and -, beginning with a letter, not ending in -",
  ],
  [
    "database",
    /^[a-z][a-z0-9_-]{0,28}[a-z0-9]$/,
    "use 2 to 30 lower-case letters, digits, _ and -, beginning with a letter, not ending in _ or -",
  ],
] as const;

/** What is wrong with a path, and how to mend it; null if nothing is. */
export function pathProblem(path: string): string | null {
  if (path === PLACEHOLDER_PATH) return "this is the manifest's placeholder: edit HEDGEROW_STORE";
  const given = split(path);
  if (given === null) return `give spanner:${PATH_FORM}`;
  for (const [index, [part, pattern, mend]] of PARTS.entries()) {
    const value = given[index] ?? "";
    if (!pattern.test(value)) return `${part} ${JSON.stringify(value)}: ${mend}`;
  }
  return null;
}

/** Throws `invalid_argument` for what is no path of a database. */
export function parsePath(path: string): DatabasePath {
  const problem = pathProblem(path);
  if (problem !== null) {
    throw new HedgerowError("invalid_argument", `--store spanner:${path}: ${problem}`);
  }
  const [project = "", instance = "", database = ""] = split(path) ?? [];
  return { name: path, project, instance, database };
}

function split(path: string): readonly string[] | null {
  const parts = /^projects\/([^/]*)\/instances\/([^/]*)\/databases\/([^/]*)$/.exec(path);
  return parts === null ? null : parts.slice(1);
}
