import type { ConnectRouter } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { HedgerowService } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode } from "../../node/api.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { registerHealth } from "./health.ts";
import { registerReflection } from "./reflection.ts";

/** What tools and balancers ask of any gRPC server: its health, and what its services are made of. */
export function registerTools(router: ConnectRouter, node: HedgerowNode, clock: Clock): void {
  registerHealth(router, [HedgerowService], node, clock);
  registerReflection(router, [HedgerowService, Health]);
}
