import { join } from "node:path";
import type { Benchmark, Case, Contender } from "./harness.ts";
import { pair, roleServer, THROUGHPUT } from "./pair.ts";
import { sharedCore } from "./processes.ts";

const contenders = join(import.meta.dir, "contenders");

interface Setting {
  readonly callers: number;
  readonly core?: number | undefined;
}

function between(name: string, role: Contender["role"], file: string, setting: Setting): Contender {
  const script = join(contenders, file);
  const { callers, core } = setting;
  return pair({
    name,
    role,
    callers,
    core,
    client: script,
    server: () => roleServer(script, {}, core),
  });
}

function rpcCase(title: string, setting: Setting): Case {
  return {
    title,
    metrics: THROUGHPUT,
    contenders: [
      between("raw TCP frames", "limit", "raw-tcp.ts", setting),
      between("connect-node", "peer", "connect-node.ts", setting),
      between("grpc-js", "peer", "grpc-js.ts", setting),
    ],
    targets: [],
  };
}

export const benchmark: Benchmark = {
  summary: "unary echo of 64 B between two processes, one connection",
  cases: [
    rpcCase("64 callers", { callers: 64 }),
    rpcCase("1 caller, both processes on one core", { callers: 1, core: sharedCore }),
  ],
};
