import { withClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { jsonBytes, printJson, readable } from "./output.ts";

export default command({
  operands: { MESSAGE: "at most 4 MiB" },
  flags: CLIENT_FLAGS,
  async run(context, config, [message = ""]) {
    const { data } = await withClient(context, config, (client, options) =>
      client.send({ data: Buffer.from(message) }, options),
    );
    if (config.json) printJson(context.stdout, jsonBytes("reply", data));
    else context.stdout.write(`${readable(context.stdout, data)}\n`);
  },
});
