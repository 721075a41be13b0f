import type { FoundColumn, Missing } from "./compare.ts";
import { createTimeIndex, same, timeIndex } from "./ddl.ts";

/** An index as the database has it. */
export interface FoundIndex {
  readonly name: string;
  /** Its table, spelled as in the database. */
  readonly table: string;
  /** Its key, as in `timestamp DESC`. */
  readonly columns: readonly string[];
  /** It holds no rows in which a column of its key is null. */
  readonly nullFiltered: boolean;
}

export interface IndexComparison {
  /** null: it is there, or cannot be. */
  readonly missing: Missing | null;
  /** What stands in its place, with its mend. */
  readonly problems: readonly string[];
}

const KEY = ["key ASC", "timestamp DESC"];

/** The index by time of a log, beside what has its name: indexes, and columns of a table. */
export function compareTimeIndex(
  logTable: string,
  indexes: readonly FoundIndex[],
  columns: readonly FoundColumn[],
): IndexComparison {
  const name = timeIndex(logTable);
  const [table] = columns.filter((column) => same(column.table, name));
  if (table !== undefined) return taken(`${table.table} is a table`, `DROP TABLE ${table.table}`);
  const index = indexes.find((found) => same(found.name, name));
  if (index === undefined) {
    const spelled = columns.find((column) => same(column.table, logTable))?.table ?? logTable;
    const what = `index ${timeIndex(spelled)}`;
    return { missing: { what, statement: createTimeIndex(spelled) }, problems: [] };
  }
  const asWanted = same(index.columns.join(), KEY.join()) && !index.nullFiltered;
  if (asWanted && same(index.table, logTable)) return { missing: null, problems: [] };
  const filtered = index.nullFiltered ? ", without rows that have none" : "";
  const on = `${index.name} is an index on (${index.columns.join(", ")}) of ${index.table}${filtered}`;
  return taken(on, `DROP INDEX ${index.name}`);

  function taken(what: string, drop: string): IndexComparison {
    const wanted = `an index on (key, timestamp DESC) of ${logTable}`;
    const mend = `run ${drop} if nobody needs it, or name another table with --log-table`;
    return { missing: null, problems: [`${what} instead of ${wanted}: ${mend}`] };
  }
}

/** What of an index has the name that one of our tables is to get. */
export function takenName(wanted: string, flag: string, indexes: readonly FoundIndex[]): string[] {
  return indexes
    .filter((index) => same(index.name, wanted))
    .map(
      ({ name, table }) =>
        `${name} is an index of ${table}, and no table can have its name: name another table with ${flag}`,
    );
}
