import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import { compareTable, type FoundColumn, type Missing } from "./compare.ts";
import { checkTableNames, same, type TableNames, tablesOf } from "./ddl.ts";
import { type Queries, readColumns, readIndexes } from "./information-schema.ts";
import { compareTimeIndex, type IndexComparison, takenName } from "./time-index.ts";

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
  const indexes = await readIndexes(connection, tables, options);
  const { problems, missing } = compareAll(tables, columns);
  const { logTable } = tables;
  const index = logTable === "" ? NO_INDEX : compareTimeIndex(logTable, indexes, columns);
  const taken = tablesOf(tables).flatMap(({ name, flag }) => takenName(name, flag, indexes));
  return {
    problems: [...problems, ...taken, ...index.problems],
    missing,
    missingIndex: problems.length === 0 ? index.missing : null,
  };
}

const NO_INDEX: IndexComparison = { missing: null, problems: [] };

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
