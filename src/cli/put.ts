import { rfc3339Micros } from "../http/time.ts";
import { microsOf } from "../http/timestamp.ts";
import { oneLine } from "../observe/format.ts";
import { MAX_VALUE_BYTES } from "../store/limits.ts";
import { withClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { operandText, OR_STDIN } from "./operand.ts";
import { printJson } from "./output.ts";
import * as values from "./values.ts";

const ENTRY = "Entry";
const CONDITIONS = "Conditions";
/** In place of an id: the key must have no version. */
const NONE = "none";
const NO_CONDITION = "leave the flag out to write on no condition";

export default command({
  operands: { KEY: "1 to 4096 bytes", VALUE: `at most 2 MiB; ${OR_STDIN}` },
  flags: {
    noAppend: {
      schema: values.yesNo,
      fallback: "false",
      section: ENTRY,
      typedOnly: true,
      help: "overwrite the key's single unversioned entry (id -); appended versions stay",
    },
    directWrite: {
      schema: values.yesNo,
      fallback: "false",
      section: ENTRY,
      typedOnly: true,
      help: "let the asked node write, unfenced, instead of the leader",
    },
    id: {
      schema: values.anyText,
      value: "ID",
      fallback: "",
      section: ENTRY,
      typedOnly: true,
      help: "id of the version: a retry with the same one writes nothing twice; empty: a new one",
    },
    ifVersion: {
      schema: values.anyText,
      value: "ID|none",
      fallback: "",
      section: CONDITIONS,
      typedOnly: true,
      neverEmpty: `give an id, or ${NONE}; ${NO_CONDITION}`,
      help: "write only if this is the id of the key's newest version; none: only if it has none",
    },
    fence: {
      schema: values.fence,
      value: "NAME=TOKEN",
      fallback: "",
      section: CONDITIONS,
      typedOnly: true,
      neverEmpty: `give the lock's name, =, and the token that it gave; ${NO_CONDITION}`,
      help: "write only if nobody has taken the lock of this name since it gave this fencing token",
    },
    ...CLIENT_FLAGS,
  },
  async run(context, config, [key = "", given = ""]) {
    const value = await operandText(context, given, MAX_VALUE_BYTES);
    const { noAppend, directWrite, id, ifVersion, fence } = config;
    const request = {
      key,
      value,
      noAppend,
      directWrite,
      id,
      ...(ifVersion !== "" && { ifVersion: ifVersion === NONE ? "" : ifVersion }),
      ...(fence !== null && { fence }),
    };
    const reply = await withClient(context, config, (client, options) =>
      client.put(request, options),
    );
    const timestamp = rfc3339Micros(microsOf(reply.timestamp));
    if (config.json) printJson(context.stdout, { key, id: reply.id, timestamp });
    else context.stdout.write(`${timestamp}  ${oneLine(reply.id)}\n`);
  },
});
