import { parseStore } from "../../store/open.ts";
import { checkTableNames, ddlStatements } from "../../store/spanner/ddl.ts";
import { PATH_FORM } from "../../store/spanner/path.ts";
import { command } from "../command.ts";
import { JSON_FLAG, SERVE_FLAGS } from "../flags.ts";
import { printJson } from "../output.ts";
import { givenStore, STORE_FLAG } from "./store.ts";

const { lockTable, logTable } = SERVE_FLAGS;

const NOTHING_TO_PRINT = `SQLite creates its tables itself: for Spanner give --store spanner:${PATH_FORM}\n`;

/** Asks no database. */
export default command({
  flags: { store: STORE_FLAG, lockTable, logTable, ...JSON_FLAG },
  async run({ stdout, stderr }, config) {
    const store = givenStore(config.store);
    const statements = statementsFor(store, config.lockTable, config.logTable ?? "");
    // Not among the statements, which may go to a file.
    if (statements.length === 0) stderr.write(NOTHING_TO_PRINT);
    if (config.json) return printJson(stdout, statements);
    for (const statement of statements) stdout.write(`${statement};\n`);
  },
});

function statementsFor(store: string, lockTable: string, logTable: string): string[] {
  if (parseStore(store).kind === "sqlite") return [];
  checkTableNames({ lockTable, logTable });
  return ddlStatements({ lockTable, logTable });
}
