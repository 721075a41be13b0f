import type { Operation } from "../../runtime/operation.ts";

/** Ends a call to Spanner with its operation. Throws if that is over: gRPC takes a time-out of 0 for none. */
export function rpc(operation: Operation) {
  operation.check();
  const timeout = Math.max(1, Math.ceil(operation.remainingMs()));
  return { timeout, retry: null, signal: operation.signal };
}
