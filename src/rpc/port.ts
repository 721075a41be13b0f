import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { CallOptions } from "../runtime/runtime.ts";

/** `host:port` of a node's peer listener. */
export type Address = string;

/**
 * Other nodes, as the parts see them: rpc/ implements it with Connect, the simulation in memory.
 * Errors are HedgerowErrors: the other node's own, or `unavailable` (surely not executed),
 * `outcome_unknown` (the connection broke in mid-call), `timeout`, `canceled`.
 */
export interface Peers {
  unary<I extends DescMessage, O extends DescMessage>(
    to: Address,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: CallOptions,
  ): Promise<MessageShape<O>>;
  /**
   * For an address that is no longer a member's: what waits unsent fails with `unavailable`, calls under way
   * go on to their answers or deadlines. A later call to the address begins anew.
   */
  forget(address: Address): void;
  /** When a call to the address was last answered without an error, on the clock's `now`. */
  heardAt?(address: Address): number | undefined;
}

/** What a handler knows of the call that it serves. */
export interface ServedCall {
  /** Milliseconds that the caller still waits. */
  readonly timeoutMs: number;
  /** Aborts when the caller goes away. Absent for calls that travelled in a batch. */
  readonly signal?: AbortSignal | undefined;
}

export type PeerHandler<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: ServedCall,
) => Promise<MessageInitShape<O>>;

/** Serves one method; made by `serve`, which ties the handler's types to the method. */
export interface PeerRoute {
  readonly method: DescMethodUnary;
  readonly handle: (request: unknown, call: ServedCall) => Promise<unknown>;
}

export function serve<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  handler: PeerHandler<I, O>,
): PeerRoute {
  return { method, handle: (request, call) => handler(request as MessageShape<I>, call) };
}
