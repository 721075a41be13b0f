import { join } from "node:path";
import type { Benchmark, Case, Contender, Metric, Target } from "./harness.ts";
import { pair, roleServer } from "./pair.ts";
import type { Info } from "./roles.ts";
import { atLeast, atLeastOf } from "./targets.ts";

const METRICS: readonly Metric[] = [{ key: "perSecond", title: "messages/s", digits: 0 }];

const RAW = "raw TCP frames";
const RAW_TLS = "raw TCP frames, TLS";
const OURS = "ours, plain text";
const OURS_TLS = "ours, mTLS";

function streamCase(title: string, options: Info, targets: readonly Target[]): Case {
  const between = (name: string, role: Contender["role"], file: string, tls = false) => {
    const script = join(import.meta.dir, "contenders", file);
    const server = () => roleServer(script, { tls });
    return pair({ name, role, client: script, server, options, callers: 1 });
  };
  return {
    title,
    metrics: METRICS,
    contenders: [
      between(RAW, "limit", "stream-raw-tcp.ts"),
      between(RAW_TLS, "peer", "stream-raw-tcp.ts", true),
      between(OURS, "ours", "stream-peers.ts"),
      between(OURS_TLS, "ours", "stream-peers.ts", true),
      between("connect-node", "peer", "stream-connect-node.ts"),
      between("grpc-js", "peer", "stream-grpc-js.ts"),
    ],
    targets,
  };
}

const LARGE = 64 * 1024;
const SMALL = 100;

export const benchmark: Benchmark = {
  summary: "messages over one stream between two processes, one way",
  cases: [
    streamCase("64 KiB messages, down", { direction: "down", bytes: LARGE }, [
      atLeastOf(OURS, 0.5, RAW),
    ]),
    streamCase("64 KiB messages, up", { direction: "up", bytes: LARGE }, [
      atLeastOf(OURS, 0.4, RAW),
    ]),
    streamCase("100 B messages, down", { direction: "down", bytes: SMALL }, [
      atLeast(OURS, 1e6, "perSecond"),
      atLeast(OURS_TLS, 1e6, "perSecond"),
    ]),
    streamCase("100 B messages, up", { direction: "up", bytes: SMALL }, [
      atLeast(OURS, 1e6, "perSecond"),
      atLeast(OURS_TLS, 1e6, "perSecond"),
    ]),
  ],
};
