import { oneLine } from "../../observe/format.ts";
import { withClient } from "../client.ts";
import { command } from "../command.ts";
import { CLIENT_FLAGS } from "../flags.ts";
import { printJson, table } from "../output.ts";
import { durationText } from "../values.ts";
import { type Status, statusOf, TIERS, tierTable } from "./status.ts";

/** Of which a node tells at once. */
const MOST_STORES = 1_000;

export default command({
  operands: {
    "[NAME]": "of the store, on the node that is asked; all of that node if it is left out",
  },
  flags: CLIENT_FLAGS,
  async run(context, config, [name = ""]) {
    const { stores } = await withClient(context, config, (client, options) =>
      client.spillStats({ name }, options),
    );
    const known = stores.map(statusOf);
    const [first] = known;
    if (config.json) return printJson(context.stdout, name === "" ? known : first);
    if (first === undefined) return context.stderr.write("no spill stores on this node\n");
    context.stdout.write(name === "" ? storesTable(known) : storeText(first));
    if (stores.length === MOST_STORES) {
      context.stderr.write(`the first ${MOST_STORES} stores, there may be more: give a NAME\n`);
    }
  },
});

function storesTable(stores: readonly Status[]): string {
  const heading = ["NAME", "RECORDS", "BYTES", "USED BY", ...TIERS.map(([, title]) => title)];
  const rows = stores.map(({ name, records, bytes, references, tiers }) => [
    name,
    ...[records, bytes, references, ...TIERS.map(([tier]) => tiers[tier].bytes)].map(String),
  ]);
  return table([heading.map((title) => title.toUpperCase()), ...rows]);
}

function storeText(store: Status): string {
  const { records, bytes, references, limits, tiers } = store;
  const { memoryBytes, diskBytes, expiryMs } = limits;
  const name = oneLine(store.name);
  const lines = [
    `${name} holds ${records} records of ${bytes} bytes in all, used by ${references}`,
    `limits: ${memoryBytes} bytes of memory and ${diskBytes} of disk on each node; expires ${durationText(expiryMs)} after its last use`,
    ...missing(store),
  ];
  return `${lines.join("\n")}\n${tierTable(tiers)}`;
}

function missing({ lost, outOfReach }: Status): string[] {
  if (lost + outOfReach === 0) return [];
  return [`${lost} records are lost, and ${outOfReach} out of reach: reading them says which`];
}
