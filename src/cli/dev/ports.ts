import { HedgerowError } from "../../errors.ts";
import { DEV_HOST, type PlannedNode } from "./plan.ts";

/** Throws `unavailable`, naming port and flag, if a port of the plan is in use. */
export function checkPortsFree(nodes: readonly PlannedNode[]): void {
  for (const { httpPort, peerPort, grpcPort } of nodes) {
    checkFree(httpPort, "--http-port");
    checkFree(peerPort, "--peer-port");
    if (grpcPort !== null) checkFree(grpcPort, "--grpc-port");
  }
}

function checkFree(port: number, flag: string): void {
  try {
    Bun.listen({ hostname: DEV_HOST, port, socket: { data() {} } }).stop(true);
  } catch (cause) {
    throw new HedgerowError(
      "unavailable",
      `port ${port} is in use: stop what listens there, or choose others with ${flag}`,
      { cause },
    );
  }
}
