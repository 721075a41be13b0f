import {
  addColumn,
  allowCommitTimestamp,
  type Column,
  createTable,
  retype,
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
    ...pairs.flatMap(([column, has]) =>
      has === undefined ? [] : columnProblems(column, has, wanted.flag),
    ),
    ...found
      .filter(({ name }) => !wanted.columns.some((column) => same(column.name, name)))
      .flatMap((column) => foreignProblems(column, wanted.flag)),
  ];
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
    `${found[0]?.table} has the primary key (${key.join(", ")}) instead of ${needed}: ${otherTable(wanted.flag)}`,
  ];
}

function columnProblems(column: Column, found: FoundColumn, flag: string): string[] {
  const kind = column.type === "TIMESTAMP" ? column.type : "STRING";
  const where = `column ${found.name} of ${found.table}`;
  if (found.type.replace(/\(.*\)$/, "") !== kind) {
    return [`${where} is ${found.type} instead of ${column.type}: ${otherTable(flag)}`];
  }
  const takesNull = column.takesNull || found.takesNull;
  const statement = retype(found.table, found.name, column.type, takesNull);
  const mend = `run ${statement}, or name another table with ${flag}`;
  if (lengthOf(found.type) < column.leastLength) {
    return [
      `${where} is ${found.type}, which must be STRING(${column.leastLength}) or more: ${mend}`,
    ];
  }
  if (column.takesNull && !found.takesNull) {
    return [`${where} is NOT NULL, and rows without it are written: ${mend}`];
  }
  return [];
}

/** Characters that the type has room for. */
function lengthOf(type: string): number {
  const [, length] = /^STRING\((\d+)\)$/.exec(type) ?? [];
  return length === undefined ? Number.POSITIVE_INFINITY : Number(length);
}

/** What is there may be needed by others. */
function otherTable(flag: string): string {
  return `name another table with ${flag}, or drop this one if nobody needs it`;
}

function foreignProblems(
  { table, name, takesNull, filledIn }: FoundColumn,
  flag: string,
): string[] {
  if (takesNull || filledIn) return [];
  return [
    `column ${name} of ${table} is NOT NULL, and Hedgerow does not write it: give it a default, or name another table with ${flag}`,
  ];
}

function missingIn(table: string, column: Column, found: FoundColumn | undefined): Missing[] {
  const what = `column ${column.name} of ${table}`;
  if (found === undefined) return [{ what, statement: addColumn(table, column) }];
  if (column.type !== "TIMESTAMP" || found.takesCommitTimestamp) return [];
  const statement = allowCommitTimestamp(table, found.name);
  return [{ what: `allow_commit_timestamp of ${what}`, statement }];
}
