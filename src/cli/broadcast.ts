import type { BroadcastResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { oneLine } from "../observe/format.ts";
import { withClient } from "./client.ts";
import { command } from "./command.ts";
import type { Output } from "./context.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { jsonBytes, printJson, readable } from "./output.ts";
import * as values from "./values.ts";

const MEMBERS = "Members";

export default command({
  operands: { MESSAGE: "at most 4 MiB" },
  flags: {
    skipSelf: {
      schema: values.yesNo,
      fallback: "false",
      section: MEMBERS,
      typedOnly: true,
      help: "leave out the node that is asked",
    },
    only: {
      schema: values.peerList,
      value: "ADDR,...",
      fallback: "",
      section: MEMBERS,
      typedOnly: true,
      help: "peer addresses to send to; empty: all members",
    },
    ...CLIENT_FLAGS,
  },
  async run(context, config, [message = ""]) {
    const request = {
      data: Buffer.from(message),
      skipSelf: config.skipSelf,
      onlySendTo: [...config.only],
    };
    return withClient(context, config, async (client, options) => {
      let failed = 0;
      for await (const reply of client.broadcast(request, options)) {
        if (reply.outcome.case === "error") failed++;
        print(context.stdout, reply, config.json);
      }
      return failed === 0 ? 0 : 1;
    });
  },
});

function print(output: Output, { node, outcome }: BroadcastResponse, json: boolean): void {
  if (outcome.case === "error") {
    if (json) printJson(output, { node, error: outcome.value });
    else output.write(`${node}  FAILED: ${oneLine(outcome.value)}\n`);
    return;
  }
  const data = outcome.value ?? new Uint8Array();
  if (json) printJson(output, { node, ...jsonBytes("reply", data) });
  else output.write(`${node}  ${readable(output, data)}\n`);
}
