import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { HedgerowService, type StatusResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { isLoopback } from "../http/hosts.ts";
import { MAX_API_BYTES } from "../http/limits.ts";
import { fromConnectError } from "../rpc/errors.ts";
import { createTransport } from "../rpc/transport.ts";
import type { CliContext } from "./context.ts";

/** The node's own word on why nothing came of a call says more than that its time is over. */
const GRACE_MS = 500;

export type HedgerowClient = Client<typeof HedgerowService>;

/** Of every call: its deadline in milliseconds, and the signal of Ctrl-C. */
export interface CallSettings {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What `use` gives. Errors of the server and of the connection become HedgerowErrors with a mend. */
export async function withClient<T>(
  context: CliContext,
  { server, timeout }: { readonly server: string; readonly timeout: number },
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  try {
    return await use(clientOf(context, server), { timeoutMs: timeout, signal: context.stop });
  } catch (thrown) {
    if (!(thrown instanceof ConnectError)) throw thrown;
    const error = fromConnectError(thrown);
    // What a server answers has no cause: that is left by the connection that was not made.
    if (error.code !== "unavailable" || thrown.cause === undefined) throw error;
    throw new HedgerowError(
      "unavailable",
      `no server answers at ${server}: start one with "hedgerow dev", or name another with --server`,
      { cause: thrown },
    );
  }
}

/** Status of the node whose http listener is at `url`; null if no node answers in time. */
export async function askStatus(
  context: CliContext,
  url: string,
  timeoutMs: number,
): Promise<StatusResponse | null> {
  try {
    return await clientOf(context, url).status({}, { timeoutMs, signal: context.stop });
  } catch (error) {
    if (error instanceof ConnectError) return null;
    throw error;
  }
}

function clientOf({ runtime }: CliContext, server: string): HedgerowClient {
  const transport = createTransport({
    clock: runtime.clock,
    baseUrl: server,
    maxBytes: MAX_API_BYTES,
    graceMs: GRACE_MS,
    // No proxy reaches this machine's own loopback.
    direct: isLoopback(new URL(server).hostname.replace(/^\[|\]$/g, "")),
  });
  return createClient(HedgerowService, transport);
}
