import { isIpAddress, isLoopback, isWildcard } from "./hosts.ts";

/** What the listener accepts from browsers that hostile pages may drive. */
export interface GuardRules {
  /** Host that the listener is bound to. */
  readonly boundHost: string;
  /** Further host names under which it may be called, in lower case. */
  readonly hosts: readonly string[];
  /** Origins whose pages may call it. */
  readonly origins: readonly string[];
}

export interface GuardedHeaders {
  readonly host: string;
  readonly origin: string | null;
  /** `Sec-Fetch-Site`: browsers send it also where they send no Origin, as for images. */
  readonly site: string | null;
}

export interface Refusal {
  readonly status: 403 | 421;
  readonly reason: string;
}

/** Why the request is refused, or null. */
export function guard(rules: GuardRules, headers: GuardedHeaders): Refusal | null {
  if (!isOwnHost(rules, hostnameOf(headers.host))) {
    return {
      status: 421,
      reason: `Host ${headers.host} is not this listener's: call it as localhost or by the address that it is bound to, or list the name with --http-hosts`,
    };
  }
  if (!isOwnOrigin(rules, headers)) {
    return {
      status: 403,
      reason: `pages of ${headers.origin ?? "other sites"} may not call this listener: list the origin with --cors-origin`,
    };
  }
  return null;
}

/**
 * A page that had its own name resolve to our address (DNS rebinding) still sends its own name. An
 * address cannot be rebound, so a listener on all interfaces accepts any.
 */
function isOwnHost(rules: GuardRules, hostname: string): boolean {
  if (isLoopback(hostname) || hostname === rules.boundHost.toLowerCase()) return true;
  if (isWildcard(rules.boundHost) && isIpAddress(hostname)) return true;
  return (
    rules.hosts.includes(hostname) ||
    rules.origins.some((origin) => new URL(origin).hostname === hostname)
  );
}

function isOwnOrigin(rules: GuardRules, { host, origin, site }: GuardedHeaders): boolean {
  if (origin === null) return site === null || site === "same-origin" || site === "none";
  if (rules.origins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** `[::1]:9090` -> `::1`, `LOCALHOST.:9090` -> `localhost` */
function hostnameOf(host: string): string {
  const bare = host.replace(/:\d*$/, "").toLowerCase();
  return bare.startsWith("[") ? bare.slice(1, -1) : bare.replace(/\.$/, "");
}
