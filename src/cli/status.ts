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
    const { node, leader, isLeader, token } = status;
    if (config.json) {
      printJson(context.stdout, { node, leader, isLeader, token, members: membersJson(status) });
      return;
    }
    context.stdout.write(
      table([
        ["node", node],
        ["leader", leader === "" ? "none known" : isLeader ? `${leader} (this node)` : leader],
        ["token", token === "" ? "-" : token],
      ]),
    );
    context.stdout.write(`\n${table(memberRows(status))}`);
  },
});
