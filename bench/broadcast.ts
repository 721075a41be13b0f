import { join } from "node:path";
import { startNodes } from "./contenders/node.ts";
import type { Benchmark, Case, Contender } from "./harness.ts";
import { pair, THROUGHPUT, twoServers } from "./pair.ts";

const script = (file: string) => join(import.meta.dir, "contenders", file);

function fanOut(name: string, role: Contender["role"], file: string, callers: number): Contender {
  return pair({
    name,
    role,
    callers,
    client: script(file),
    server: () => twoServers(script(file)),
  });
}

function broadcastCase(title: string, callers: number): Case {
  return {
    title,
    metrics: THROUGHPUT,
    contenders: [
      fanOut("raw TCP frames", "limit", "raw-tcp.ts", callers),
      pair({
        name: "ours",
        role: "ours",
        callers,
        client: script("node.ts"),
        options: { call: "broadcast" },
        server: () => startNodes(2),
      }),
      fanOut("grpc-js", "peer", "grpc-js.ts", callers),
    ],
    targets: [],
  };
}

export const benchmark: Benchmark = {
  summary: "64 B to two other processes, answered once both have replied",
  cases: [broadcastCase("64 callers", 64), broadcastCase("1 caller", 1)],
};
