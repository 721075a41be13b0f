import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import type { Value } from "./api.ts";
import type { FoundColumn } from "./compare.ts";
import type { Connection } from "./connection.ts";
import { type TableNames, tablesOf, timeIndex } from "./ddl.ts";
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
  WHERE c.TABLE_SCHEMA = '' AND LOWER(c.TABLE_NAME) IN UNNEST(@tables)`;

/** The columns of the tables of these names, of those that are there. */
export async function readColumns(
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

export async function hasTimeIndex(
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
