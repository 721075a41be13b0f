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
/** Of several servers one that does not tell its status in so many milliseconds is passed over. */
const PROBE_TIMEOUT_MS = 2_000;
/** What another server may have a better answer to. */
const ELSEWHERE = ["unavailable", "stopped", "outcome_unknown", "claim_lost"] as const;

export type HedgerowClient = Client<typeof HedgerowService>;

/** Of every call: its deadline in milliseconds, and the signal of Ctrl-C. */
export interface CallSettings {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Where to, and how long a call may take in milliseconds. */
export interface Servers {
  /** URLs, one at least, in the order in which they are tried. */
  readonly server: readonly string[];
  readonly timeout: number;
}

/**
 * What `use` gives, with the first server that answers. Errors of the server and of the connection become
 * HedgerowErrors with a mend.
 */
export async function withClient<T>(
  context: CliContext,
  { server, timeout }: Servers,
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  for (const url of server.slice(0, -1)) {
    if (await answers(context, url)) return await withServer(context, url, timeout, use);
  }
  return await withServer(context, server.at(-1) ?? "", timeout, use);
}

/** As `withClient`, but `use` is tried with the next server, too, where nothing came of it at one. */
export async function withEachServer<T>(
  context: CliContext,
  { server, timeout }: Servers,
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  for (const url of server.slice(0, -1)) {
    if (!(await answers(context, url))) continue;
    try {
      return await withServer(context, url, timeout, use);
    } catch (error) {
      if (context.stop.aborted || !HedgerowError.is(error, ...ELSEWHERE)) throw error;
    }
  }
  return await withServer(context, server.at(-1) ?? "", timeout, use);
}

async function answers(context: CliContext, url: string): Promise<boolean> {
  return (await askStatus(context, url, PROBE_TIMEOUT_MS)) !== null;
}

async function withServer<T>(
  context: CliContext,
  server: string,
  timeoutMs: number,
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  try {
    return await use(clientOf(context, server), { timeoutMs, signal: context.stop });
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
