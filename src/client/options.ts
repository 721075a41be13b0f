import { HedgerowError, messageOf } from "../errors.ts";
import type { Fetch } from "./connection.ts";

export interface ClientOptions {
  /**
   * URLs of the http listeners of one or more nodes, as in `http://127.0.0.1:9090`. Any of them takes any call; the
   * next is asked when one fails.
   */
  readonly addresses: string | readonly string[];
  /** Bearer token of the listeners, or what gives the one that is good now, if any. Default: none is shown. */
  readonly token?: string | (() => string | undefined | Promise<string | undefined>) | undefined;
  /**
   * Milliseconds for a unary call that names no `timeoutMs` of its own, all its attempts included. Default 10,000.
   * Streams have no time-out unless they name one.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * How often a call is made again at most, where that is safe: surely nothing was done, or the same again does no
   * harm, as with reads, and puts, which get an id. Default 20, with pauses of 12 s in all.
   */
  readonly retries?: number | undefined;
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined;
}

export interface CheckedClientOptions {
  readonly urls: readonly string[];
  readonly headers: () => Promise<Headers>;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly fetch: Fetch;
}

/** Throws `invalid_argument`. */
export function checkClientOptions(options: ClientOptions): CheckedClientOptions {
  const { addresses, token, timeoutMs = 10_000, retries = 20 } = options;
  const urls = (typeof addresses === "string" ? [addresses] : [...addresses]).map(checkUrl);
  if (urls.length === 0) throw invalid("addresses is empty: name a node's http listener");
  if (!(timeoutMs > 0)) throw invalid(`timeoutMs ${timeoutMs}: give milliseconds above 0`);
  if (!(retries >= 0)) throw invalid(`retries ${retries}: give 0 or more`);
  return {
    urls,
    timeoutMs,
    retries,
    fetch: options.fetch ?? ((url, init) => fetch(url, init)),
    headers: () => headersOf(token),
  };
}

/** Throws `unauthenticated` where no token can be had, or what is had is none. */
async function headersOf(token: ClientOptions["token"]): Promise<Headers> {
  const shown = await tokenOf(token);
  if (shown === undefined) return new Headers();
  if (TOKEN.test(shown)) return new Headers({ authorization: `Bearer ${shown}` });
  // Not with its text, which Node's own error would tell.
  throw new HedgerowError("unauthenticated", "the token is none: give it without spaces and lines");
}

const TOKEN = /^[\x21-\x7e]+$/;

async function tokenOf(token: ClientOptions["token"]): Promise<string | undefined> {
  try {
    return typeof token === "function" ? await token() : token;
  } catch (cause) {
    const message = `there is no token to show: ${messageOf(cause)}`;
    throw new HedgerowError("unauthenticated", message, { cause });
  }
}

/** Without a slash at its end. */
function checkUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text.replace(/\/+$/, "");
  throw invalid(`${text} is no address: give a URL, as in http://127.0.0.1:9090`);
}

function invalid(message: string): HedgerowError {
  return new HedgerowError("invalid_argument", message);
}
