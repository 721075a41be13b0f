import { withClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { printJson, table } from "./output.ts";
import { memberRows, membersJson } from "./status-view.ts";

export default command({
  flags: CLIENT_FLAGS,
  async run(context, config) {
    const status = await withClient(context, config, (client, options) =>
      client.status({}, options),
    );
    if (config.json) printJson(context.stdout, membersJson(status));
    else context.stdout.write(table(memberRows(status)));
  },
});
