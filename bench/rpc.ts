import { join } from "node:path";
import type { Benchmark, Case, Contender, Target } from "./harness.ts";
import { pair, roleServer, THROUGHPUT } from "./pair.ts";
import { sharedCore } from "./processes.ts";
import type { Info } from "./roles.ts";
import { atLeastOf } from "./targets.ts";

interface Setting {
  readonly callers: number;
  /** Both processes on this core. */
  readonly core?: number;
}

const RAW = "raw TCP frames";
const COALESCED = "ours, coalesced, mTLS";
const PLAIN_ROUTE = "ours, not coalesced, mTLS";

function rpcCase(title: string, setting: Setting, targets: readonly Target[]): Case {
  const between = (name: string, role: Contender["role"], file: string, options: Info = {}) => {
    const script = join(import.meta.dir, "contenders", file);
    const server = () => roleServer(script, options, setting.core);
    return pair({ ...setting, name, role, client: script, server });
  };
  return {
    title,
    metrics: THROUGHPUT,
    contenders: [
      between(RAW, "limit", "raw-tcp.ts"),
      between("raw TCP frames, each written apart", "peer", "raw-tcp.ts", { apart: true }),
      between(COALESCED, "ours", "peers.ts", { tls: true, coalesced: true }),
      between("ours, coalesced, plain text", "ours", "peers.ts", { coalesced: true }),
      between(PLAIN_ROUTE, "ours", "peers.ts", { tls: true }),
      between("ours, not coalesced, plain text", "ours", "peers.ts"),
      between("connect-node", "peer", "connect-node.ts"),
      between("grpc-js", "peer", "grpc-js.ts"),
    ],
    targets,
  };
}

export const benchmark: Benchmark = {
  summary: "unary echo of 64 B between two processes",
  cases: [
    rpcCase("64 callers", { callers: 64 }, [
      atLeastOf(COALESCED, 0.4, RAW),
      atLeastOf(PLAIN_ROUTE, 0.09, RAW),
    ]),
    rpcCase("1 caller, both processes on one core", { callers: 1, core: sharedCore }, [
      atLeastOf(COALESCED, 0.2, RAW),
    ]),
  ],
};
