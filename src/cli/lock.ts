import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { HoldLockRequest } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowClient } from "./client.ts";
import { command } from "./command.ts";
import { HOLD_EXIT_HELP } from "./exit.ts";
import { SERVER_FLAGS } from "./flags.ts";
import { type Asked, type Granted, runWhileHeld } from "./hold/run-while-held.ts";
import * as values from "./values.ts";

const LOCK = "Lock";

export default command({
  operands: {
    NAME: "of the lock: 1 to 1024 bytes, not ending in _ and digits",
    "COMMAND...": `what to run, after --, with the lock's fencing token as HEDGEROW_LOCK_TOKEN. ${HOLD_EXIT_HELP}`,
  },
  flags: {
    lease: {
      schema: values.duration(1000),
      value: "DURATION",
      fallback: "10s",
      section: LOCK,
      typedOnly: true,
      help: "how long a holder that died goes on holding it, 1s at least; the same for all who use the lock",
    },
    wait: {
      schema: values.duration(0),
      value: "DURATION",
      fallback: "10s",
      section: LOCK,
      typedOnly: true,
      help: "give up if it is not to be had for so long; 0s: do not wait",
    },
    ...SERVER_FLAGS,
  },
  run(context, { lease, wait, ...servers }, [name = "", ...argv]) {
    const request = { name, leaseMs: Math.round(lease) };
    return runWhileHeld(context, {
      called: "hedgerow lock",
      servers,
      command: argv,
      waitMs: wait,
      open: (client, asked) => granted(client, request, asked),
    });
  },
});

/** The command finds the fencing token in its environment. */
async function* granted(
  client: HedgerowClient,
  request: Pick<HoldLockRequest, "name" | "leaseMs">,
  { hold, waitMs, ...settings }: Asked,
): AsyncGenerator<Granted> {
  const wait = durationFromMs(Math.round(waitMs));
  for await (const { token, lease } of client.holdLock({ ...request, hold, wait }, settings)) {
    const forMs = lease === undefined ? 0 : durationMs(lease);
    yield { forMs, environment: { HEDGEROW_LOCK_TOKEN: token } };
  }
}
