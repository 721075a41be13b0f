/** Only its shape is judged: enough to tell it from a name. `node:net` would cost each start 2 ms. */
export function isIpAddress(host: string): boolean {
  return isIpv4(host) || /^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(host);
}

function isIpv4(host: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
}

/** All interfaces of the machine. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** And the names under it. Of what such names are made: a `Host` may hold anything. */
const LOCALHOST = /^([\w-]+\.)*localhost$/i;

export function isLoopback(host: string): boolean {
  if (host === "::1" || LOCALHOST.test(host)) return true;
  return isIpv4(host) && host.startsWith("127.");
}
