/**
 * Peers ask each other under this path, so that a server that serves other things too needs one route for it. A
 * listener of peers alone takes the paths without it as well.
 */
export const PEER_BASE = "/hedgerow/peer";
const BENEATH = `${PEER_BASE}/`;

/** The path of a URL without the base route, as `pathOf` has it. */
export function peerPathOf(url: string): string {
  const start = pathStart(url);
  return untilQuery(url, url.startsWith(BENEATH, start) ? start + PEER_BASE.length : start);
}

export function pathOfUrl(url: string): string {
  return untilQuery(url, pathStart(url));
}

function pathStart(url: string): number {
  return url.indexOf("/", url.indexOf("//") + 2);
}

function untilQuery(url: string, start: number): string {
  const end = url.indexOf("?", start);
  return end === -1 ? url.slice(start) : url.slice(start, end);
}
