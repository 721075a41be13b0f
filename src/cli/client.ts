import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { HedgerowService, type StatusResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { isLoopback } from "../http/hosts.ts";
import { apiBytesFor } from "../http/limits.ts";
import { fromConnectError } from "../rpc/errors.ts";
import { MESSAGE_LIMIT_RANGE } from "../rpc/limits.ts";
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

/** How to be let in: paths, null for none. */
export interface ServerAccess {
  readonly tokenFile?: string | null;
  readonly ca?: string | null;
  /** Asks whoever listens there, whatever its certificate says. Default false. */
  readonly insecure?: boolean;
}

/** Where to, and how to be let in there. */
export interface ServerChoice extends ServerAccess {
  /** URLs, one at least, in the order in which they are tried. */
  readonly server: readonly string[];
}

/** And how long a call may take in milliseconds. */
export interface Servers extends ServerChoice {
  readonly timeout: number;
}

/**
 * What `use` gives, with the first server that answers. Errors of the server and of the connection become
 * HedgerowErrors with a mend.
 */
export async function withClient<T>(
  context: CliContext,
  servers: Servers,
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  const { server } = servers;
  for (const url of server.slice(0, -1)) {
    if (await answers(context, url, servers)) return await withServer(context, url, servers, use);
  }
  return await withLast(context, servers, use);
}

/** As `withClient`, but `use` is tried with the next server, too, where nothing came of it at one. */
export async function withEachServer<T>(
  context: CliContext,
  servers: Servers,
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  const { server } = servers;
  for (const url of server.slice(0, -1)) {
    if (!(await answers(context, url, servers))) continue;
    try {
      return await withServer(context, url, servers, use);
    } catch (error) {
      if (context.stop.aborted || !HedgerowError.is(error, ...ELSEWHERE)) throw error;
    }
  }
  return await withLast(context, servers, use);
}

/** With the last of the servers, where the others have not answered, or not what was hoped for. */
async function withLast<T>(
  context: CliContext,
  servers: Servers,
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  const { server } = servers;
  try {
    return await withServer(context, server.at(-1) ?? "", servers, use);
  } catch (error) {
    if (server.length === 1 || !HedgerowError.is(error, "unavailable")) throw error;
    const others = server.slice(0, -1).join(", ");
    throw new HedgerowError("unavailable", `${error.message}; tried before it: ${others}`, {
      cause: error,
    });
  }
}

async function answers(context: CliContext, url: string, access: ServerAccess): Promise<boolean> {
  return (await askStatus(context, url, access, PROBE_TIMEOUT_MS)) !== null;
}

async function withServer<T>(
  context: CliContext,
  server: string,
  { timeout: timeoutMs, ...access }: ServerAccess & { readonly timeout: number },
  use: (client: HedgerowClient, settings: CallSettings) => Promise<T>,
): Promise<T> {
  try {
    const client = await clientOf(context, server, access);
    return await use(client, { timeoutMs, signal: context.stop });
  } catch (thrown) {
    if (!(thrown instanceof ConnectError)) throw thrown;
    const error = fromConnectError(thrown);
    // What a server answers has no cause: that is left by the connection that was not made.
    if (thrown.cause === undefined) throw error;
    if (error.code === "outcome_unknown") {
      const mend = `if it does so again, see that a node's http listener is there, and that the URL says https where it speaks TLS`;
      throw new HedgerowError(error.code, `${error.message}: ${mend}`, { cause: thrown });
    }
    if (error.code !== "unavailable") throw error;
    const message = server.startsWith("https:")
      ? `${error.message}: see that it runs, and that --ca names its authority`
      : `no server answers at ${server}: start one with "hedgerow dev", or name another with --server`;
    throw new HedgerowError("unavailable", message, { cause: thrown });
  }
}

/** Status of the node whose http listener is at `url`; null if no node answers in time. Throws `unauthenticated`. */
export async function askStatus(
  context: CliContext,
  url: string,
  access: ServerAccess,
  timeoutMs: number,
): Promise<StatusResponse | null> {
  try {
    const client = await clientOf(context, url, access);
    return await client.status({}, { timeoutMs, signal: context.stop });
  } catch (error) {
    const known = error instanceof ConnectError ? fromConnectError(error) : null;
    if (known === null) throw error;
    if (known.code === "unauthenticated") throw known;
    return null;
  }
}

async function clientOf(
  { runtime }: CliContext,
  server: string,
  { tokenFile = null, ca = null, insecure = false }: ServerAccess,
): Promise<HedgerowClient> {
  const token = tokenFile === null ? null : await readToken(tokenFile);
  const transport = createTransport({
    clock: runtime.clock,
    baseUrl: server,
    maxBytes: apiBytesFor(MESSAGE_LIMIT_RANGE.max), // the node's own limit counts
    graceMs: GRACE_MS,
    // No proxy reaches this machine's own loopback.
    direct: isLoopback(new URL(server).hostname.replace(/^\[|\]$/g, "")),
    ...(token !== null && { headers: { authorization: `Bearer ${token}` } }),
    ...(ca !== null && { trust: { ca: await readSecret("--ca", ca) } }),
    ...(insecure && { trust: { rejectUnauthorized: false } }),
  });
  return createClient(HedgerowService, transport);
}

/** Throws `invalid_argument` for a file that holds none. */
async function readToken(path: string): Promise<string> {
  const lines = (await readSecret("--token-file", path)).split("\n").map((line) => line.trim());
  const first = lines.find((line) => line !== "" && !line.startsWith("#"));
  const token = /^(?:r[wo]\s+)?([\w.~+/-]+=*)$/.exec(first ?? "")?.[1];
  if (token !== undefined) return token;
  throw new HedgerowError("invalid_argument", `--token-file ${path} holds no token: give one`);
}

async function readSecret(flag: string, path: string): Promise<string> {
  const { readSecretFile } = await import("../runtime/secret-file.ts");
  return (await readSecretFile(flag, path)).text;
}
