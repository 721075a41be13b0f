import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { HoldSemaphoreRequest } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowClient } from "../client.ts";
import { command } from "../command.ts";
import { HOLD_EXIT_HELP } from "../exit.ts";
import { SERVER_FLAGS } from "../flags.ts";
import { type Asked, type Granted, runWhileHeld } from "../hold/run-while-held.ts";
import * as values from "../values.ts";

const SEMAPHORE = "Semaphore";

export default command({
  operands: {
    NAME: "of the semaphore: 1 to 1024 bytes without whitespace",
    "COMMAND...": `what to run, after --, with the permit's owner as HEDGEROW_SEMAPHORE_OWNER. ${HOLD_EXIT_HELP}`,
  },
  flags: {
    limit: {
      schema: values.integer(1, 2 ** 32 - 1),
      value: "N",
      fallback: "",
      section: SEMAPHORE,
      typedOnly: true,
      help: "how many may hold it at once; the same for all who use it",
    },
    wait: {
      schema: values.duration(0),
      value: "DURATION",
      fallback: "10s",
      section: SEMAPHORE,
      typedOnly: true,
      help: "give up if no permit is to be had for so long; 0s: do not wait",
    },
    owner: {
      schema: values.optionalName,
      value: "NAME",
      fallback: "",
      section: SEMAPHORE,
      typedOnly: true,
      help: "who holds the permit, of which each owner has one at most; empty: this run alone",
    },
    ...SERVER_FLAGS,
  },
  run(context, { limit, wait, owner, ...servers }, [name = "", ...argv]) {
    const request = { name, limit, owner: owner ?? "" };
    return runWhileHeld(context, {
      called: "hedgerow semaphore acquire",
      servers,
      command: argv,
      waitMs: wait,
      open: (client, asked) => granted(client, request, asked),
    });
  },
});

/** The command finds the permit's owner in its environment. */
async function* granted(
  client: HedgerowClient,
  request: Pick<HoldSemaphoreRequest, "name" | "limit" | "owner">,
  { hold, waitMs, ...settings }: Asked,
): AsyncGenerator<Granted> {
  const wait = durationFromMs(Math.round(waitMs));
  for await (const { owner, lease } of client.holdSemaphore({ ...request, hold, wait }, settings)) {
    const forMs = lease === undefined ? 0 : durationMs(lease);
    yield { forMs, environment: { HEDGEROW_SEMAPHORE_OWNER: owner } };
  }
}
