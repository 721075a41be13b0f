import { HedgerowError, messageOf } from "../errors.ts";

export type Server = Bun.Server<undefined>;

export interface BindOptions {
  /** Name or address; "" for all interfaces. */
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  readonly tls?: Bun.TLSOptions | undefined;
  readonly fetch: (request: Request, server: Server) => Response | Promise<Response>;
}

/** Seconds without a byte after which a connection is closed. Clients close theirs sooner (session.ts). */
export const IDLE_SECONDS = 120;

/**
 * Opens a server for HTTP/2 and HTTP/1.1 on one port. Throws `unavailable` for a port in use and
 * `invalid_argument` for what cannot be bound at all, in one line that says how to mend it.
 */
export function bind({ host, port, tls, fetch }: BindOptions): Server {
  try {
    return Bun.serve({
      fetch,
      port,
      ...(host !== "" && { hostname: host }),
      ...(tls !== undefined && { tls }),
      http2: true,
      idleTimeout: IDLE_SECONDS,
      // Streams may be as long as they like; the handlers bound each message.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false,
      // Without it, `development: false` shares a busy port with its owner instead of failing.
      reusePort: false,
    });
  } catch (error) {
    throw bindError(host, port, error);
  }
}

/** What binding threw, as `bind` throws it. */
export function bindError(host: string, port: number, error: unknown): HedgerowError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const extras = { cause: error };
  switch (code) {
    case "EADDRINUSE":
      return new HedgerowError(
        "unavailable",
        `port ${port} is in use: stop what listens there or choose another port`,
        extras,
      );
    case "EACCES":
      return new HedgerowError(
        "forbidden",
        `port ${port} may not be bound by this user: choose one above 1023`,
        extras,
      );
    case "ERR_OUT_OF_RANGE":
      return new HedgerowError("invalid_argument", `port ${port}: give 0 to 65535`, extras);
    case "ENOTFOUND":
    case "EINVAL":
    case "EADDRNOTAVAIL":
      return new HedgerowError(
        "invalid_argument",
        `${host} is not an address of this machine (${code}): give one, or none for all`,
        extras,
      );
    default:
      return new HedgerowError(
        "internal",
        `cannot listen on ${host}:${port}: ${messageOf(error)}`,
        extras,
      );
  }
}
