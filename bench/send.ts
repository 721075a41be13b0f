import { join } from "node:path";
import { startNodes } from "./contenders/node.ts";
import type { Benchmark, Case } from "./harness.ts";
import { pair, roleServer, THROUGHPUT } from "./pair.ts";
import { sharedCore } from "./processes.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);

function sendCase(title: string, setting: { callers: number; core?: number }): Case {
  const { core } = setting;
  return {
    title,
    metrics: THROUGHPUT,
    contenders: [
      pair({
        ...setting,
        name: "rpc, same routes",
        role: "limit",
        client: script("peers.ts"),
        server: () => roleServer(script("peers.ts"), { tls: true }, core),
      }),
      pair({
        ...setting,
        name: "ours, from a follower",
        role: "ours",
        client: script("node.ts"),
        options: { call: "send" },
        server: () => startNodes(1, core),
      }),
      pair({
        ...setting,
        name: "raw TCP frames",
        role: "peer",
        client: script("raw-tcp.ts"),
        server: () => roleServer(script("raw-tcp.ts"), {}, core),
      }),
      pair({
        ...setting,
        name: "grpc-js",
        role: "peer",
        client: script("grpc-js.ts"),
        server: () => roleServer(script("grpc-js.ts"), {}, core),
      }),
    ],
    targets: [],
  };
}

export const benchmark: Benchmark = {
  summary: "64 B to the leader's handler, which echoes; the share of our bare RPC that it reaches",
  cases: [
    sendCase("64 callers", { callers: 64 }),
    sendCase("1 caller, both processes on one core", { callers: 1, core: sharedCore }),
  ],
};
