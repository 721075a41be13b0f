import {
  addColumn,
  allowCommitTimestamp,
  type Column,
  createTable,
  same,
  type Table,
} from "./ddl.ts";

/** A column as the database has it. */
export interface FoundColumn {
  /** Its table, spelled as in the database. */
  readonly table: string;
  readonly name: string;
  /** As in `STRING(MAX)`. */
  readonly type: string;
  readonly takesNull: boolean;
  /** Has a default, or is generated: a row may be written without it. */
  readonly filledIn: boolean;
  readonly takesCommitTimestamp: boolean;
  /** Its place in the primary key, from 1; null if it has none. */
  readonly keyPlace: number | null;
}

/** Something that `schema apply` adds. */
export interface Missing {
  /** As in `table locktable`. */
  readonly what: string;
  readonly statement: string;
}

export interface Comparison {
  /** One line each, with its mend. Nothing is added to a table that has one. */
  readonly problems: readonly string[];
  readonly missing: readonly Missing[];
}

/** The table that is wanted beside the columns of the one that is there; none: there is no such table. */
export function compareTable(wanted: Table, found: readonly FoundColumn[]): Comparison {
  const [{ table } = { table: wanted.name }] = found;
  if (found.length === 0) {
    return {
      problems: [],
      missing: [{ what: `table ${table}`, statement: createTable(wanted) }],
    };
  }
  const pairs = wanted.columns.map(
    (column) => [column, found.find(({ name }) => same(name, column.name))] as const,
  );
  const problems = [
    ...keyProblems(wanted, found),
    ...pairs.flatMap(([column, has]) => (has === undefined ? [] : columnProblems(column, has))),
    ...found
      .filter(({ name }) => !wanted.columns.some((column) => same(column.name, name)))
      .flatMap(foreignProblems),
  ].map((problem) => `${problem}, or name another table with ${wanted.flag}`);
  if (problems.length > 0) return { problems, missing: [] };
  return {
    problems: [],
    missing: pairs.flatMap(([column, has]) => missingIn(table, column, has)),
  };
}

function keyProblems(wanted: Table, found: readonly FoundColumn[]): string[] {
  const key = found
    .filter(({ keyPlace }) => keyPlace !== null)
    .sort((a, b) => (a.keyPlace ?? 0) - (b.keyPlace ?? 0))
    .map(({ name }) => name);
  const asWanted = (name: string, at: number) => same(name, wanted.primaryKey[at] ?? "");
  if (key.length === wanted.primaryKey.length && key.every(asWanted)) return [];
  const needed = `(${wanted.primaryKey.join(", ")})`;
  return [
    `${found[0]?.table} has the primary key (${key.join(", ")}) instead of ${needed}: drop the table if nobody needs it`,
  ];
}

/** A STRING of any length will do: what does not fit, the database refuses by itself. */
function columnProblems(column: Column, found: FoundColumn): string[] {
  const type = column.type === "TIMESTAMP" ? column.type : "STRING";
  const where = `column ${found.name} of ${found.table}`;
  if (found.type.replace(/\(.*\)$/, "") !== type) {
    return [`${where} is ${found.type} instead of ${column.type}: drop the column`];
  }
  if (column.takesNull && !found.takesNull) {
    return [`${where} is NOT NULL, and rows without it are written: drop the NOT NULL`];
  }
  return [];
}

function foreignProblems({ table, name, takesNull, filledIn }: FoundColumn): string[] {
  if (takesNull || filledIn) return [];
  return [
    `column ${name} of ${table} is NOT NULL, and Hedgerow does not write it: give it a default`,
  ];
}

function missingIn(table: string, column: Column, found: FoundColumn | undefined): Missing[] {
  const what = `column ${column.name} of ${table}`;
  if (found === undefined) return [{ what, statement: addColumn(table, column) }];
  if (column.type !== "TIMESTAMP" || found.takesCommitTimestamp) return [];
  const statement = allowCommitTimestamp(table, found.name);
  return [{ what: `allow_commit_timestamp of ${what}`, statement }];
}
