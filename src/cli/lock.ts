import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { HoldLockRequest } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { CallSettings, HedgerowClient } from "./client.ts";
import { command } from "./command.ts";
import { CLIENT_FLAGS } from "./flags.ts";
import { type Granted, runWhileHeld } from "./hold/run-while-held.ts";
import * as values from "./values.ts";

const LOCK = "Lock";

export default command({
  operands: {
    NAME: "of the lock: 1 to 1024 bytes, not ending in _ and digits",
    "COMMAND...":
      "what to run, after --, with the lock's fencing token as HEDGEROW_LOCK_TOKEN; its exit code is this command's",
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
    server: CLIENT_FLAGS.server,
  },
  run(context, { lease: leaseMs, wait, server }, [name = "", ...argv]) {
    const request = { name, leaseMs: Math.round(leaseMs), wait: durationFromMs(Math.round(wait)) };
    return runWhileHeld(context, {
      called: "hedgerow lock",
      server,
      command: argv,
      open: (client, hold, settings) => granted(client, { ...request, hold }, settings),
    });
  },
});

/** The command finds the fencing token in its environment. */
async function* granted(
  client: HedgerowClient,
  request: Pick<HoldLockRequest, "name" | "leaseMs" | "wait" | "hold">,
  settings: CallSettings,
): AsyncGenerator<Granted> {
  for await (const { token, lease } of client.holdLock(request, settings)) {
    const forMs = lease === undefined ? 0 : durationMs(lease);
    yield { forMs, environment: { HEDGEROW_LOCK_TOKEN: token } };
  }
}
