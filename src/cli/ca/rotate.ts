import { hostname } from "node:os";
import { HedgerowError } from "../../errors.ts";
import { RELOAD_INTERVAL_MS, rotateAuthority, SETTLING_MS } from "../../rpc/authority.ts";
import { openStore } from "../../store/open.ts";
import { command } from "../command.ts";
import { JSON_FLAG, SERVE_FLAGS } from "../flags.ts";
import { printJson } from "../output.ts";

const { store, lockTable, logTable } = SERVE_FLAGS;

/** Speaks to the store alone: nodes find the new authority there. */
export default command({
  flags: { store, lockTable, logTable, ...JSON_FLAG },
  async run({ runtime, stdout, stop }, config) {
    await using opened = await openStore(config.store, {
      lockTable: config.lockTable,
      logTable: config.logTable ?? "",
      runtime,
    }).then((found) => ({ log: found.log, [Symbol.asyncDispose]: () => found.close() }));
    if (opened.log === null) {
      throw new HedgerowError(
        "invalid_argument",
        "the authority is kept in the log table: give the --log-table of the nodes",
      );
    }
    const id = await rotateAuthority(opened.log, runtime.clock, hostname(), { signal: stop });
    if (config.json) return printJson(stdout, { id });
    stdout.write(
      `authority ${id} is in the store: nodes trust it within ${minutes(RELOAD_INTERVAL_MS)}, and show ` +
        `certificates of it after ${minutes(SETTLING_MS)}; authority ${id - 1} is trusted until the next rotation\n`,
    );
  },
});

function minutes(ms: number): string {
  return `${ms / 60_000} min`;
}
