import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import { compareTable, type FoundColumn, type Missing } from "./compare.ts";
import type { Connection } from "./connection.ts";
import {
  checkTableNames,
  createTimeIndex,
  same,
  type TableNames,
  tablesOf,
  timeIndex,
} from "./ddl.ts";
import { Grpc, grpcCode } from "./errors.ts";
import type { Value } from "./api.ts";
import { textOf } from "./values.ts";

/** What is asked of a connection to a database. */
export type Queries = Pick<Connection, "database" | "query">;

export interface Inspection {
  /** What no DDL of ours mends, one line each, with its mend. */
  readonly problems: readonly string[];
  /** Without these no node can work. */
  readonly missing: readonly Missing[];
  /** The index of the log by time, if it is not there and can be. */
  readonly missingIndex: Missing | null;
}

/** Compares the database's schema with what Hedgerow needs. Changes nothing. Throws as `checkSchema`, except for what it gives. */
export async function inspectSchema(
  connection: Queries,
  tables: TableNames,
  options: CallOptions = {},
): Promise<Inspection> {
  checkTableNames(tables);
  const columns = await readColumns(connection, tables, options);
  const indexed = await hasTimeIndex(connection, tables, options);
  const { problems, missing } = compareAll(tables, columns);
  const { logTable } = tables;
  const spelled = columns.find(({ table }) => same(table, logTable))?.table ?? logTable;
  const wantsIndex = logTable !== "" && !indexed && problems.length === 0;
  const missingIndex = wantsIndex
    ? { what: `index ${timeIndex(spelled)}`, statement: createTimeIndex(spelled) }
    : null;
  return { problems, missing, missingIndex };
}

/**
 * Resolves if the tables are there as they must be, after one query. Throws `invalid_argument` for names that
 * Spanner does not take, `store_failed` with what is wrong and how to mend it, and what every query throws.
 */
export async function checkSchema(
  connection: Queries,
  tables: TableNames,
  options: CallOptions = {},
): Promise<void> {
  checkTableNames(tables);
  const { problems, missing } = compareAll(tables, await readColumns(connection, tables, options));
  const name = `spanner:${connection.database}`;
  if (problems.length > 0) {
    throw new HedgerowError("store_failed", `${name}: ${problems.join("; ")}`);
  }
  if (missing.length > 0) {
    throw new HedgerowError(
      "store_failed",
      `${name} ${missingText(missing)}: run ${applyCommand(connection.database, tables)}`,
    );
  }
}

/** As in `has no table locktable and no table logtable`. */
export function missingText(missing: readonly Missing[]): string {
  return `has ${missing.map(({ what }) => `no ${what}`).join(" and ")}`;
}

/** What creates what is missing, as it is typed. */
export function applyCommand(database: string, { lockTable, logTable }: TableNames): string {
  return [
    `hedgerow schema apply --store spanner:${database}`,
    ...(lockTable === "locktable" ? [] : [`--lock-table ${lockTable}`]),
    ...(logTable === "logtable" ? [] : [`--log-table ${logTable === "" ? '""' : logTable}`]),
  ].join(" ");
}

function compareAll(names: TableNames, found: readonly FoundColumn[]) {
  const compared = tablesOf(names).map((table) =>
    compareTable(
      table,
      found.filter((column) => same(column.table, table.name)),
    ),
  );
  return {
    problems: compared.flatMap(({ problems }) => problems),
    missing: compared.flatMap(({ missing }) => missing),
  };
}

const COLUMNS = `SELECT c.TABLE_NAME, c.COLUMN_NAME, c.SPANNER_TYPE, c.IS_NULLABLE = 'YES',
    c.COLUMN_DEFAULT IS NOT NULL OR c.IS_GENERATED = 'ALWAYS', o.OPTION_VALUE = 'TRUE', k.ORDINAL_POSITION
  FROM INFORMATION_SCHEMA.COLUMNS AS c
  LEFT JOIN INFORMATION_SCHEMA.COLUMN_OPTIONS AS o
    ON o.TABLE_SCHEMA = c.TABLE_SCHEMA AND o.TABLE_NAME = c.TABLE_NAME
    AND o.COLUMN_NAME = c.COLUMN_NAME AND o.OPTION_NAME = 'allow_commit_timestamp'
  LEFT JOIN INFORMATION_SCHEMA.INDEX_COLUMNS AS k
    ON k.TABLE_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME
    AND k.COLUMN_NAME = c.COLUMN_NAME AND k.INDEX_TYPE = 'PRIMARY_KEY'
  WHERE c.TABLE_SCHEMA = '' AND LOWER(c.TABLE_NAME) IN UNNEST(@tables)`;

async function readColumns(
  connection: Queries,
  tables: TableNames,
  options: CallOptions,
): Promise<FoundColumn[]> {
  const names = tablesOf(tables).map(({ name }) => ({ stringValue: name.toLowerCase() }));
  const rows = await connection
    .query("schema", options, {
      sql: COLUMNS,
      params: { fields: { tables: { listValue: { values: names } } } },
      paramTypes: { tables: { code: "ARRAY", arrayElementType: { code: "STRING" } } },
    })
    .catch((error: unknown) => explainDialect(connection, options, error));
  return rows.map(([table, name, type, takesNull, filledIn, takesCommitTimestamp, keyPlace]) => ({
    table: textOf(table) ?? "",
    name: textOf(name) ?? "",
    type: textOf(type) ?? "",
    takesNull: isTrue(takesNull),
    filledIn: isTrue(filledIn),
    takesCommitTimestamp: isTrue(takesCommitTimestamp),
    keyPlace: textOf(keyPlace) === null ? null : Number(textOf(keyPlace)),
  }));
}

async function hasTimeIndex(
  connection: Queries,
  { logTable }: TableNames,
  options: CallOptions,
): Promise<boolean> {
  if (logTable === "") return false;
  const rows = await connection.query("schema", options, {
    sql: "SELECT 1 FROM INFORMATION_SCHEMA.INDEXES WHERE TABLE_SCHEMA = '' AND LOWER(INDEX_NAME) = @name",
    params: { fields: { name: { stringValue: timeIndex(logTable).toLowerCase() } } },
  });
  return rows.length > 0;
}

const DIALECT =
  "SELECT OPTION_VALUE FROM INFORMATION_SCHEMA.DATABASE_OPTIONS WHERE OPTION_NAME = 'database_dialect'";

/** The other dialect does not understand our SQL: better to say so than to show its complaint. */
async function explainDialect(
  connection: Queries,
  options: CallOptions,
  error: unknown,
): Promise<never> {
  const cause = error instanceof Error ? error.cause : undefined;
  if (grpcCode(cause) !== Grpc.INVALID_ARGUMENT) throw error;
  const [[dialect] = []] = await connection.query("schema", options, { sql: DIALECT });
  if (textOf(dialect) !== "POSTGRESQL") throw error;
  throw new HedgerowError(
    "store_failed",
    `spanner:${connection.database} has the PostgreSQL dialect: make a database with the GoogleSQL dialect`,
    { cause: error },
  );
}

function isTrue(value: Value | undefined): boolean {
  return value?.boolValue === true;
}
