import { MESSAGE_LIMIT_RANGE } from "../rpc/limits.ts";
import { withClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { operandBytes, OR_STDIN } from "./operand.ts";
import { jsonBytes, printJson, readable } from "./output.ts";

export default command({
  operands: { MESSAGE: `at most 4 MiB, or what the nodes' --max-message says; ${OR_STDIN}` },
  flags: CLIENT_FLAGS,
  async run(context, config, [message = ""]) {
    const sent = await operandBytes(context, message, MESSAGE_LIMIT_RANGE.max);
    const { data } = await withClient(context, config, (client, options) =>
      client.send({ data: sent }, options),
    );
    if (config.json) printJson(context.stdout, jsonBytes("reply", data));
    else context.stdout.write(`${readable(data)}\n`);
  },
});
