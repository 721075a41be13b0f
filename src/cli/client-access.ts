import { HedgerowError } from "../errors.ts";
import type { Tokens } from "../http/access.ts";
import type { ListenerTlsFiles } from "../http/client-tls.ts";
import { isLoopback } from "../http/hosts.ts";
import type { ListenerTls } from "../http/listener.ts";
import { splitAddress } from "../node/address.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { ServeConfig } from "./flags.ts";

// How serve's listeners for clients tell who they are to clients, and who clients are. What reads files is
// loaded only where there are any.

interface Context {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What the listeners begin with; undefined for plain text. Throws `invalid_argument`. */
export async function clientTls(
  config: ServeConfig,
  clock: Clock,
): Promise<(ListenerTls & { readonly warning: string | null }) | undefined> {
  const files = tlsFiles(config);
  if (files === null) return undefined;
  const { readClientTls } = await import("../http/client-tls.ts");
  return readClientTls(files, clock);
}

/** Renews the listener's certificate when the files change, until the result is called. */
export async function followTls(
  config: ServeConfig,
  first: ListenerTls & { readonly warning: string | null },
  context: Context,
  renew: (tls: ListenerTls) => void,
): Promise<() => void> {
  const files = tlsFiles(config);
  if (files === null) return () => {};
  if (first.warning !== null) context.logger.warn(first.warning);
  const { followClientTls } = await import("../http/client-tls.ts");
  return followClientTls(files, first, context, renew);
}

/** The tokens that count; undefined where nobody is asked for one. Throws `invalid_argument`. */
export async function clientTokens(
  config: ServeConfig,
  context: Context,
): Promise<(Tokens & { close(): void }) | undefined> {
  if (config.clientTokenFile !== null) {
    const { openTokenFile } = await import("../http/token-file.ts");
    return openTokenFile(config.clientTokenFile, context);
  }
  const open = [
    ["--http-addr", config.httpAddr] as const,
    ["--grpc-addr", config.grpcAddr] as const,
  ].flatMap(([flag, address]) => (isReachable(address) ? [`${flag} ${address}`] : []));
  if (open.length > 0) {
    const mend = "give --client-token-file, or listen on 127.0.0.1";
    context.logger.warn(`whoever reaches ${open.join(" or ")} may read and write: ${mend}`);
  }
  return undefined;
}

/** Whether others than this machine may reach it. */
function isReachable(address: string | null): boolean {
  return address !== null && !isLoopback(splitAddress(address).host);
}

function tlsFiles({
  clientTlsCert: cert,
  clientTlsKey: key,
}: ServeConfig): ListenerTlsFiles | null {
  if (cert === null && key === null) return null;
  if (cert !== null && key !== null) return { cert, key };
  const message = "--client-tls-cert and --client-tls-key go together: give both";
  throw new HedgerowError("invalid_argument", message);
}
