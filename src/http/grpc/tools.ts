import type { ConnectRouter } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { HedgerowService } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode } from "../../node/api.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { StreamGate } from "../admission.ts";
import { registerHealth } from "./health.ts";
import { registerReflection } from "./reflection.ts";

/** Open to each client at once: health asks nobody for a token, and one stream a connection is enough. */
const MAX_STREAMS = 100;

/** What tools and balancers ask of any gRPC server: its health, and what its services are made of. */
export function registerTools(router: ConnectRouter, node: HedgerowNode, clock: Clock): void {
  const gate = new StreamGate(MAX_STREAMS);
  registerHealth(router, [HedgerowService], { node, clock, gate });
  registerReflection(router, [HedgerowService, Health], gate);
}
