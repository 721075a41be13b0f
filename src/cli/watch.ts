import type { Entry } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { rfc3339Micros } from "../http/time.ts";
import { microsOf } from "../http/timestamp.ts";
import { oneLine } from "../observe/format.ts";
import { MAX_STREAM_TIMEOUT_MS } from "../rpc/limits.ts";
import { withClient } from "./client.ts";
import { command } from "./command.ts";
import type { Output } from "./context.ts";
import { SERVER_FLAGS, JSON_FLAG } from "./flags.ts";
import { printJson } from "./output.ts";
import * as values from "./values.ts";

/** In place of an id: all that there is. */
const OLDEST = "oldest";

export default command({
  operands: { KEY: "key to watch" },
  flags: {
    from: {
      schema: values.anyText,
      value: "ID|oldest",
      fallback: "",
      section: "Versions",
      typedOnly: true,
      help: "begin after the version of this id, or with the oldest; empty: what is written from now on",
    },
    ...SERVER_FLAGS,
    ...JSON_FLAG,
  },
  /** Ends with Ctrl-C, or with the node. */
  async run(context, { from, json, ...server }, [key = ""]) {
    const request = { key, ...(from !== "" && { fromId: from === OLDEST ? "" : from }) };
    const endless = { ...server, timeout: MAX_STREAM_TIMEOUT_MS };
    try {
      await withClient(context, endless, async (client, options) => {
        for await (const { entry } of client.watchLog(request, options)) {
          if (entry !== undefined) print(context.stdout, entry, json);
        }
      });
    } catch (error) {
      if (!context.stop.aborted) throw error;
    }
  },
});

function print(output: Output, entry: Entry, json: boolean): void {
  const { key, value, id, leader } = entry;
  const timestamp = rfc3339Micros(microsOf(entry.timestamp));
  if (json) printJson(output, { key, value, timestamp, id, leader });
  else output.write(`${[timestamp, id, leader, value].map(oneLine).join("  ")}\n`);
}
