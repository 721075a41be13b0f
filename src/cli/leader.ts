import { HedgerowError } from "../errors.ts";
import { oneLine } from "../observe/format.ts";
import { withClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { printJson } from "./output.ts";

export default command({
  flags: CLIENT_FLAGS,
  async run(context, config) {
    const { leader, token, node } = await withClient(context, config, (client, options) =>
      client.status({}, options),
    );
    if (leader === "") {
      throw new HedgerowError(
        "no_leader",
        `${node} knows no leader: ask again once a lease is over; with --store none nobody leads`,
      );
    }
    if (config.json) printJson(context.stdout, { leader, token });
    else context.stdout.write(`${oneLine(leader)}\n`);
  },
});
