import { HedgerowError } from "../errors.ts";
import { isWildcard } from "../http/hosts.ts";
import { DEFAULT_PEER_PORT, resolvePeerAddress, splitAddress } from "../node/address.ts";

export interface ListenerAddresses {
  readonly peerAddr: string;
  readonly httpAddr: string;
  /** null: there is none. */
  readonly grpcAddr: string | null;
}

/** Throws `invalid_argument` where two of the listeners would need one port of one address. */
export async function checkListeners(addresses: ListenerAddresses): Promise<void> {
  const peer: Listener = { flag: "--peer-addr", address: addresses.peerAddr };
  const http: Listener = { flag: "--http-addr", address: addresses.httpAddr };
  await checkPair(peer, http);
  if (addresses.grpcAddr === null) return;
  const grpc: Listener = { flag: "--grpc-addr", address: addresses.grpcAddr };
  await checkPair(peer, grpc);
  await checkPair(http, grpc);
}

interface Listener {
  readonly flag: string;
  readonly address: string;
}

async function checkPair(one: Listener, other: Listener): Promise<void> {
  const port = portOf(other);
  if (port === 0 || port !== portOf(one)) return; // names are looked up only where they matter
  if (!isOnAll(one) && !isOnAll(other)) {
    const [first, second] = [
      await resolvePeerAddress(one.address),
      await resolvePeerAddress(other.address),
    ];
    if (first.host !== second.host) return;
  }
  throw new HedgerowError(
    "invalid_argument",
    `${one.flag} ${one.address} and ${other.flag} ${other.address} are one address: give each a port of its own`,
  );
}

function portOf({ address }: Listener): number {
  return address === "" ? DEFAULT_PEER_PORT : splitAddress(address).port;
}

/** Whether it takes the port of every address; the peer listener takes that of one. */
function isOnAll({ flag, address }: Listener): boolean {
  if (flag === "--peer-addr") return false;
  const { host } = splitAddress(address);
  return host === "" || isWildcard(host);
}
