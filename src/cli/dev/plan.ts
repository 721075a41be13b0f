import { HedgerowError } from "../../errors.ts";
import { NO_STORE } from "../../store/open.ts";
import { type Environment, environmentName } from "../flag.ts";
import { SERVE_FLAGS } from "../flags.ts";

/** One node of the local cluster, before it is started. */
export interface PlannedNode {
  /** Counts from 1. */
  readonly number: number;
  readonly httpPort: number;
  readonly peerPort: number;
  /** null: it speaks no gRPC. */
  readonly grpcPort: number | null;
}

/** Of the first node; the others count up. */
export interface FirstPorts {
  readonly httpPort: number;
  readonly peerPort: number;
  readonly grpcPort: number | null;
}

/** What all nodes share. */
export interface SharedByNodes {
  /** As in `sqlite:PATH`. */
  readonly store: string;
  /** Where nodes without a store find each other. */
  readonly firstPeerPort: number;
  readonly leaseMs: number;
  /** How many of each key's newest versions stay; null: all. */
  readonly keepVersions: number | null;
  /** Older versions go, in milliseconds; null: no matter how old. */
  readonly keepAgeMs: number | null;
  /** What spilled records may take of each node. */
  readonly spillMemoryBytes: number;
  readonly spillDiskBytes: number;
}

/** Everything is on this address: a local cluster is nobody else's business. */
export const DEV_HOST = "127.0.0.1";

/** The nodes with their ports. Throws `invalid_argument` where the ports do not fit. */
export function planNodes(nodes: number, first: FirstPorts): PlannedNode[] {
  const ports = [
    ["--http-port", first.httpPort],
    ["--peer-port", first.peerPort],
    ...(first.grpcPort === null ? [] : ([["--grpc-port", first.grpcPort]] as const)),
  ] as const;
  for (const [index, [flag, port]] of ports.entries()) {
    if (port + nodes - 1 > 65_535) {
      throw new HedgerowError(
        "invalid_argument",
        `${flag} ${port}: ${nodes} nodes need ports up to ${port + nodes - 1}, and 65535 is the last`,
      );
    }
    for (const [otherFlag, other] of ports.slice(0, index)) {
      if (Math.abs(other - port) >= nodes) continue;
      throw new HedgerowError(
        "invalid_argument",
        `${otherFlag} ${other} and ${flag} ${port}: ${nodes} nodes need them at least ${nodes} apart`,
      );
    }
  }
  return Array.from({ length: nodes }, (_, index) => ({
    number: index + 1,
    httpPort: first.httpPort + index,
    peerPort: first.peerPort + index,
    grpcPort: first.grpcPort === null ? null : first.grpcPort + index,
  }));
}

/** What the node's process is started with, after the program's name. */
export function serveArguments(node: PlannedNode, shared: SharedByNodes): string[] {
  return [
    "serve",
    ...["--peer-addr", `${DEV_HOST}:${node.peerPort}`],
    ...["--http-addr", `${DEV_HOST}:${node.httpPort}`],
    ...(node.grpcPort === null ? [] : ["--grpc-addr", `${DEV_HOST}:${node.grpcPort}`]),
    ...["--store", shared.store],
    ...(shared.store === NO_STORE
      ? ["--tls", "none", "--join", `${DEV_HOST}:${shared.firstPeerPort}`]
      : []),
    ...["--lease", `${shared.leaseMs}ms`],
    ...["--keep-versions", shared.keepVersions?.toString() ?? ""],
    ...["--keep-age", shared.keepAgeMs === null ? "" : `${shared.keepAgeMs}ms`],
    ...["--spill-memory", `${shared.spillMemoryBytes}`, "--spill-disk", `${shared.spillDiskBytes}`],
    ...["--log-level", "warn", "--log-format", "pretty"],
    "--stop-with-stdin",
  ];
}

/** The environment of the nodes: what configures a node elsewhere must not reach these. */
export function nodeEnvironment(environment: Environment): Environment {
  const own = new Set(Object.keys(SERVE_FLAGS).map(environmentName));
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !own.has(name)));
}
