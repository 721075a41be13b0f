import { HedgerowError } from "../errors.ts";
import { isWildcard } from "../http/hosts.ts";
import { DEFAULT_PEER_PORT, resolvePeerAddress, splitAddress } from "../node/address.ts";

/** Throws `invalid_argument` where the two listeners would need one port of one address. */
export async function checkListeners(peerAddr: string, httpAddr: string): Promise<void> {
  const { host, port } = splitAddress(httpAddr);
  if (port === 0 || port !== peerPort(peerAddr)) return; // names are looked up only where they matter
  if (host !== "" && !isWildcard(host)) {
    const [peer, http] = [await resolvePeerAddress(peerAddr), await resolvePeerAddress(httpAddr)];
    if (peer.host !== http.host) return;
  }
  throw new HedgerowError(
    "invalid_argument",
    `--peer-addr ${peerAddr} and --http-addr ${httpAddr} are one address: give each a port of its own`,
  );
}

function peerPort(peerAddr: string): number {
  return peerAddr === "" ? DEFAULT_PEER_PORT : splitAddress(peerAddr).port;
}
