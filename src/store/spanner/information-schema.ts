import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import type { Value } from "./api.ts";
import type { FoundColumn } from "./compare.ts";
import type { Connection } from "./connection.ts";
import { type TableNames, tablesOf, timeIndex } from "./ddl.ts";
import type { FoundIndex } from "./time-index.ts";
import { Grpc, grpcCode } from "./errors.ts";
import { textOf } from "./values.ts";

/** What is asked of a connection to a database. */
export type Queries = Pick<Connection, "database" | "query">;

const COLUMNS = `SELECT c.TABLE_NAME, c.COLUMN_NAME, c.SPANNER_TYPE, c.IS_NULLABLE = 'YES',
    c.COLUMN_DEFAULT IS NOT NULL OR c.IS_GENERATED = 'ALWAYS', UPPER(o.OPTION_VALUE) = 'TRUE', k.ORDINAL_POSITION
  FROM INFORMATION_SCHEMA.COLUMNS AS c
  LEFT JOIN INFORMATION_SCHEMA.COLUMN_OPTIONS AS o
    ON o.TABLE_SCHEMA = c.TABLE_SCHEMA AND o.TABLE_NAME = c.TABLE_NAME
    AND o.COLUMN_NAME = c.COLUMN_NAME AND o.OPTION_NAME = 'allow_commit_timestamp'
  LEFT JOIN INFORMATION_SCHEMA.INDEX_COLUMNS AS k
    ON k.TABLE_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME
    AND k.COLUMN_NAME = c.COLUMN_NAME AND k.INDEX_TYPE = 'PRIMARY_KEY'
  WHERE c.TABLE_SCHEMA = '' AND LOWER(c.TABLE_NAME) IN UNNEST(@names)`;

/** The columns of the tables that have one of our names, that of the index included. */
export async function readColumns(
  connection: Queries,
  tables: TableNames,
  options: CallOptions,
): Promise<FoundColumn[]> {
  const rows = await connection
    .query("schema", options, { sql: COLUMNS, ...namesParameter(namesOf(tables)) })
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

const INDEXES = `SELECT i.INDEX_NAME, i.TABLE_NAME, i.IS_NULL_FILTERED, c.COLUMN_NAME, c.COLUMN_ORDERING
  FROM INFORMATION_SCHEMA.INDEXES AS i
  JOIN INFORMATION_SCHEMA.INDEX_COLUMNS AS c
    ON c.TABLE_SCHEMA = i.TABLE_SCHEMA AND c.TABLE_NAME = i.TABLE_NAME AND c.INDEX_NAME = i.INDEX_NAME
  WHERE i.TABLE_SCHEMA = '' AND i.INDEX_TYPE = 'INDEX' AND LOWER(i.INDEX_NAME) IN UNNEST(@names) AND c.ORDINAL_POSITION IS NOT NULL
  ORDER BY i.INDEX_NAME, c.ORDINAL_POSITION`;

/** The indexes that have one of our names, those of tables included. */
export async function readIndexes(
  connection: Queries,
  tables: TableNames,
  options: CallOptions,
): Promise<FoundIndex[]> {
  const rows = await connection.query("schema", options, {
    sql: INDEXES,
    ...namesParameter(namesOf(tables)),
  });
  const found = new Map<string, FoundIndex>();
  for (const [nameValue, table, nullFiltered, column, order] of rows) {
    const name = textOf(nameValue) ?? "";
    const index = found.get(name) ?? {
      name,
      table: textOf(table) ?? "",
      nullFiltered: isTrue(nullFiltered),
      columns: [],
    };
    const columns = [...index.columns, `${textOf(column)} ${textOf(order)}`];
    found.set(name, { ...index, columns });
  }
  return [...found.values()];
}

/** Tables and indexes share their names. */
function namesOf(tables: TableNames): string[] {
  const names = tablesOf(tables).map(({ name }) => name);
  return tables.logTable === "" ? names : [...names, timeIndex(tables.logTable)];
}

function namesParameter(names: readonly string[]) {
  const values = names.map((name) => ({ stringValue: name.toLowerCase() }));
  return {
    params: { fields: { names: { listValue: { values } } } },
    paramTypes: { names: { code: "ARRAY", arrayElementType: { code: "STRING" } } },
  } as const;
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
