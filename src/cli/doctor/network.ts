import type { StatusResponse } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { isAddress, joinAddress, resolvePeerAddress, splitAddress } from "../../node/address.ts";
import { Operation } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { failed, failedBy, fine, type Finding } from "./finding.ts";

const DIAL_TIMEOUT_MS = 1_000;

/** The http listener's port: free, or served by a hedgerow, whose status is `running`. */
export function checkHttpPort(address: string, running: StatusResponse | null): Finding {
  if (running !== null)
    return fine("http port", `${address} is served by the node ${running.node}`);
  const { host, port } = splitAddress(address);
  return checkPort("http port", host === "" ? "0.0.0.0" : host, port, "--http-addr");
}

/** The grpc listener's port: free, or in use as it is where the node `running` has it. */
export function checkGrpcPort(address: string, running: StatusResponse | null): Finding {
  const { host: given, port } = splitAddress(address);
  const host = given === "" ? "0.0.0.0" : given;
  const found = checkPort("grpc port", host, port, "--grpc-addr");
  if (found.ok || running === null) return found;
  return fine("grpc port", `${joinAddress(host, port)} is in use, as it is by a node that runs`);
}

export async function checkPeerPort(
  given: string,
  running: StatusResponse | null,
): Promise<Finding> {
  try {
    const { address, host, port } = await resolvePeerAddress(given);
    const own = running?.members.find(({ name }) => name === running.node);
    if (own?.address === address) return fine("peer port", `${address} is served by ${own.name}`);
    return checkPort("peer port", host, port, "--peer-addr");
  } catch (error) {
    return failedBy("peer port", error);
  }
}

function checkPort(check: string, host: string, port: number, flag: string): Finding {
  const address = joinAddress(host, port);
  try {
    Bun.listen({ hostname: host, port, socket: { data() {} } }).stop(true);
    return fine(check, `${address} is free`);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    return code === "EADDRINUSE"
      ? failed(
          check,
          `${address} is in use by another program`,
          `stop it, or choose another ${flag}`,
        )
      : failed(check, `${address} cannot be listened on`, `choose another ${flag}`);
  }
}

/** Whether each peer takes connections. */
export async function checkPeers(peers: ReadonlySet<string>, clock: Clock): Promise<Finding[]> {
  if (peers.size === 0) return [fine("peers", "no other node is known")];
  return Promise.all([...peers].sort().map((peer) => checkPeer(peer, clock)));
}

async function checkPeer(peer: string, clock: Clock): Promise<Finding> {
  if (!isAddress(peer)) {
    const mend = "see who wrote it into the lock's row, or gave it to --join";
    return failed("peer", `${peer} is no address of a node`, mend);
  }
  const { host, port } = splitAddress(peer);
  using operation = new Operation(clock, "dial", {}, DIAL_TIMEOUT_MS);
  try {
    const socket = Bun.connect({ hostname: host, port, socket: { data() {} } });
    void socket.then((late) => late.end()).catch(() => {}); // reported below, unless it comes too late
    await operation.race(socket);
    return fine("peer", `${peer} takes connections`);
  } catch {
    return failed(
      "peer",
      `${peer} takes no connection`,
      "see whether it runs, and whether a firewall or network policy blocks its port",
    );
  }
}
