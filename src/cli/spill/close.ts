import { withClient } from "../client.ts";
import { command } from "../command.ts";
import { CLIENT_FLAGS, SERVER_FLAGS } from "../flags.ts";

export default command({
  operands: { NAME: "of the store, on the node that is asked" },
  flags: { ...SERVER_FLAGS, timeout: CLIENT_FLAGS.timeout },
  async run(context, config, [name = ""]) {
    await withClient(context, config, (client, options) => client.spillClose({ name }, options));
  },
});
