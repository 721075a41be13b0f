import { HedgerowError } from "../errors.ts";
import { type EndpointOptions, PeerEndpoint } from "../rpc/endpoint.ts";
import { startPeerListener } from "../rpc/listener.ts";
import type { ProcessNetwork } from "../rpc/memory-network.ts";
import type { Credentials, TlsFiles } from "../rpc/tls.ts";
import type { Runtime } from "../runtime/runtime.ts";
import {
  isAddress,
  isLoopback,
  type PeerAddress,
  resolvePeerAddress,
  splitAddress,
} from "./address.ts";

/** How a node is reached, as its options have it. */
export interface TransportChoice {
  /** null: none was given. */
  readonly address: string | null;
  /** Within this process, and in no other way. */
  readonly network: ProcessNetwork | undefined;
  /** false: by a server of the application. */
  readonly listen: boolean;
  readonly tls: "auto" | "none" | TlsFiles;
  readonly store: string;
}

/** The node's side of what brings its peers' requests. */
export interface Opening {
  readonly endpoint: PeerEndpoint;
  /** Others reach it no longer. */
  stop(): void | Promise<void>;
}

/** Where others reach a node. Throws `invalid_argument` with the mend. */
export async function findAddress(choice: TransportChoice): Promise<PeerAddress> {
  const { address: given, network, listen } = choice;
  if (network !== undefined) return addressIn(network, given);
  if (!listen && (given === null || given === "" || splitAddress(given).port === 0)) {
    throw new HedgerowError(
      "invalid_argument",
      "listen: false needs the address at which others reach your server: give address as host:port or :port",
    );
  }
  const address = given ?? ":8080";
  const found = await resolvePeerAddress(address);
  checkReachable(choice, address, found);
  return found;
}

/** Opens that way. A port of the node's own shows the certificates that are current. */
export function openTo(
  serving: Omit<EndpointOptions, "clock">,
  { network, listen }: TransportChoice,
  { address, host, port }: PeerAddress,
  credentials: Credentials,
  runtime: Runtime,
): Opening {
  if (network === undefined && listen) {
    const listener = startPeerListener({
      ...serving,
      runtime,
      host,
      port,
      tls: credentials.current(),
    });
    credentials.onRenewed((material) => listener.renew(material));
    return listener;
  }
  const endpoint = new PeerEndpoint({ ...serving, clock: runtime.clock });
  const close = network?.listen(address, endpoint) ?? (() => endpoint.stop());
  return { endpoint, stop: close };
}

function addressIn(network: ProcessNetwork, given: string | null): PeerAddress {
  const address = given ?? network.nextAddress();
  if (isAddress(address)) return { ...splitAddress(address), address };
  throw new HedgerowError(
    "invalid_argument",
    `${address} is no address in a memory network: give host:port, such as a:1, or none`,
  );
}

/** Throws if the address was looked for, only loopback was found, and the cluster is not of this machine alone. */
function checkReachable(
  { store }: TransportChoice,
  given: string,
  { host, port }: PeerAddress,
): void {
  const lookedFor = given === "" || given.startsWith(":");
  if (!lookedFor || !isLoopback(host) || store.startsWith("sqlite:")) return;
  throw new HedgerowError(
    "invalid_argument",
    `this machine has no address that other machines can reach: give one, or 127.0.0.1:${port} for nodes on this machine alone`,
  );
}
