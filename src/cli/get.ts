import { rfc3339Micros } from "../http/time.ts";
import { microsOf } from "../http/timestamp.ts";
import { withClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { printJson, table } from "./output.ts";
import * as values from "./values.ts";

export default command({
  operands: { KEY: "key to read" },
  flags: {
    limit: {
      schema: values.integer(-2, 1_000_000),
      value: "N",
      fallback: "1",
      section: "Versions",
      typedOnly: true,
      help: "the newest N; 0: the latest; -1: all; -2: the oldest",
    },
    ...CLIENT_FLAGS,
  },
  async run(context, config, [key = ""]) {
    const limit = BigInt(config.limit);
    const { entries } = await withClient(context, config, (client, options) =>
      client.get({ key, limit }, options),
    );
    const rows = entries.map(({ value, timestamp, id, leader }) => ({
      key,
      value,
      timestamp: rfc3339Micros(microsOf(timestamp)),
      id,
      leader,
    }));
    if (config.json) return printJson(context.stdout, rows);
    if (rows.length === 0) return context.stderr.write(`no version of ${key}\n`);
    const cells = rows.map((row) => [row.timestamp, row.id, row.leader, row.value]);
    context.stdout.write(table([["TIME", "ID", "WRITTEN BY", "VALUE"], ...cells]));
  },
});
