import { HedgerowError } from "../../errors.ts";
import { type Environment, environmentName } from "../flag.ts";
import { SERVE_FLAGS } from "../flags.ts";

/** One node of the local cluster, before it is started. */
export interface PlannedNode {
  /** Counts from 1. */
  readonly number: number;
  readonly httpPort: number;
  readonly peerPort: number;
}

/** What all nodes share. */
export interface SharedByNodes {
  /** As in `sqlite:PATH`. */
  readonly store: string;
  readonly leaseMs: number;
}

/** Everything is on this address: a local cluster is nobody else's business. */
export const DEV_HOST = "127.0.0.1";

/** The nodes with their ports. Throws `invalid_argument` where the ports do not fit. */
export function planNodes(nodes: number, httpPort: number, peerPort: number): PlannedNode[] {
  for (const [flag, port] of [
    ["--http-port", httpPort],
    ["--peer-port", peerPort],
  ] as const) {
    if (port + nodes - 1 > 65_535) {
      throw new HedgerowError(
        "invalid_argument",
        `${flag} ${port}: ${nodes} nodes need ports up to ${port + nodes - 1}, and 65535 is the last`,
      );
    }
  }
  if (Math.abs(httpPort - peerPort) < nodes) {
    throw new HedgerowError(
      "invalid_argument",
      `--http-port ${httpPort} and --peer-port ${peerPort}: ${nodes} nodes need them at least ${nodes} apart`,
    );
  }
  return Array.from({ length: nodes }, (_, index) => ({
    number: index + 1,
    httpPort: httpPort + index,
    peerPort: peerPort + index,
  }));
}

/** What the node's process is started with, after the program's name. */
export function serveArguments(node: PlannedNode, shared: SharedByNodes): string[] {
  return [
    "serve",
    ...["--peer-addr", `${DEV_HOST}:${node.peerPort}`],
    ...["--http-addr", `${DEV_HOST}:${node.httpPort}`],
    ...["--store", shared.store],
    ...["--lease", `${shared.leaseMs}ms`],
    ...["--log-level", "warn", "--log-format", "pretty"],
    "--stop-with-stdin",
  ];
}

/** The environment of the nodes: what configures a node elsewhere must not reach these. */
export function nodeEnvironment(environment: Environment): Environment {
  const own = new Set(Object.keys(SERVE_FLAGS).map(environmentName));
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !own.has(name)));
}
