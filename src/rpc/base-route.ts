/**
 * Peers ask each other under this path, so that a server that serves other things too needs one route for it. A
 * listener of peers alone takes the paths without it as well.
 */
export const PEER_BASE = "/hedgerow/peer";

/** The path of a URL without the base route, as `pathOf` has it. */
export function peerPathOf(url: string): string {
  const path = pathOfUrl(url);
  return path.startsWith(`${PEER_BASE}/`) ? path.slice(PEER_BASE.length) : path;
}

export function pathOfUrl(url: string): string {
  const start = url.indexOf("/", url.indexOf("//") + 2);
  const end = url.indexOf("?", start);
  return end === -1 ? url.slice(start) : url.slice(start, end);
}
