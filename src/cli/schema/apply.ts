import { parseStore, spannerEmulatorHost } from "../../store/open.ts";
import { command } from "../command.ts";
import { JSON_FLAG, SERVE_FLAGS } from "../flags.ts";
import { printJson } from "../output.ts";
import * as values from "../values.ts";
import { givenStore, STORE_FLAG } from "./store.ts";

const { lockTable, logTable } = SERVE_FLAGS;

export default command({
  flags: {
    store: STORE_FLAG,
    lockTable,
    logTable,
    timeout: {
      schema: values.duration(1000),
      value: "DURATION",
      fallback: "10m",
      section: "Store",
      typedOnly: true,
      help: "give up waiting after this long; an index of a large table takes its time",
    },
    ...JSON_FLAG,
  },
  async run({ runtime, stdout, stop }, config) {
    const store = givenStore(config.store);
    const { kind, path } = parseStore(store);
    if (kind === "sqlite") {
      if (config.json) printJson(stdout, []);
      else stdout.write("SQLite creates its tables itself: there is nothing to apply\n");
      return;
    }
    const { applySchema } = await import("../../store/spanner/apply.ts");
    const added = await applySchema(
      {
        path,
        lockTable: config.lockTable,
        logTable: config.logTable ?? "",
        emulatorHost: spannerEmulatorHost(),
        runtime,
      },
      { timeoutMs: config.timeout, signal: stop },
    );
    if (config.json) return printJson(stdout, added);
    if (added.length === 0) stdout.write(`nothing is missing in ${store}\n`);
    for (const what of added) stdout.write(`added ${what}\n`);
  },
});
