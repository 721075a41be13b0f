import { HedgerowError } from "../errors.ts";
import type { Entry } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { rfc3339Micros } from "../http/time.ts";
import { microsOf } from "../http/timestamp.ts";
import { oneLine } from "../observe/format.ts";
import { MAX_STREAM_TIMEOUT_MS } from "../rpc/limits.ts";
import { withEachServer } from "./client.ts";
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
  /** Ends with Ctrl-C, or with the last of the nodes: at the next one it goes on behind what it has printed. */
  async run(context, { from, json, ...server }, [key = ""]) {
    const endless = { ...server, timeout: MAX_STREAM_TIMEOUT_MS };
    let last: string | null = null;
    let broken: unknown = null;
    try {
      await withEachServer(context, endless, async (client, options) => {
        const after = last ?? (from === OLDEST ? "" : from || null);
        // From now on, but of another now: versions between would be missed.
        if (broken !== null && after === null) throw broken;
        try {
          const request = { key, ...(after !== null && { fromId: after }) };
          for await (const { entry } of client.watchLog(request, options)) {
            if (entry === undefined) continue;
            print(context.stdout, entry, json);
            last = entry.id;
          }
        } catch (error) {
          broken = error;
          throw error;
        }
      });
    } catch (error) {
      if (context.stop.aborted) return;
      throw last === null ? error : goOnAfter(last, HedgerowError.from(error));
    }
  },
});

function goOnAfter(id: string, { code, message }: HedgerowError): HedgerowError {
  return new HedgerowError(code, `${message} (go on with --from ${oneLine(id)})`);
}

function print(output: Output, entry: Entry, json: boolean): void {
  const { key, value, id, leader } = entry;
  const timestamp = rfc3339Micros(microsOf(entry.timestamp));
  if (json) printJson(output, { key, value, timestamp, id, leader });
  else output.write(`${[timestamp, id, leader, value].map(oneLine).join("  ")}\n`);
}
