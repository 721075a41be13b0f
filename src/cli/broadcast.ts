import { HedgerowError } from "../errors.ts";
import type { BroadcastResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { oneLine } from "../observe/format.ts";
import { MESSAGE_LIMIT_RANGE } from "../rpc/limits.ts";
import { type CallSettings, type HedgerowClient, withClient } from "./client.ts";
import { command } from "./command.ts";
import type { Output } from "./context.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { operandBytes, OR_STDIN } from "./operand.ts";
import { jsonBytes, printJson, readable } from "./output.ts";
import * as values from "./values.ts";

const MEMBERS = "Members";

export default command({
  operands: { MESSAGE: `at most 4 MiB, or what the nodes' --max-message says; ${OR_STDIN}` },
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
      data: await operandBytes(context, message, MESSAGE_LIMIT_RANGE.max),
      skipSelf: config.skipSelf,
      onlySendTo: [...config.only],
    };
    return withClient(context, config, async (client, options) => {
      if (config.only.length > 0) await checkMembers(client, config.only, options);
      let failed = 0;
      for await (const reply of client.broadcast(request, options)) {
        if (reply.outcome.case === "error") failed++;
        print(context.stdout, reply, config.json);
      }
      return failed === 0 ? 0 : 1;
    });
  },
});

/** A node ignores addresses that it does not know; whoever typed one wants to hear of it. */
async function checkMembers(
  client: HedgerowClient,
  only: readonly string[],
  options: CallSettings,
): Promise<void> {
  const { members } = await client.status({}, options);
  const unknown = only.find((wanted) => !members.some(({ address }) => address === wanted));
  if (unknown !== undefined) {
    throw new HedgerowError("not_found", `no member ${unknown}: see "hedgerow members"`);
  }
}

function print(output: Output, { node, outcome }: BroadcastResponse, json: boolean): void {
  if (outcome.case === "error") {
    if (json) printJson(output, { node, error: outcome.value });
    else output.write(`${oneLine(node)}  FAILED: ${oneLine(outcome.value)}\n`);
    return;
  }
  const data = outcome.value ?? new Uint8Array();
  if (json) printJson(output, { node, ...jsonBytes("reply", data) });
  else output.write(`${oneLine(node)}  ${readable(data)}\n`);
}
