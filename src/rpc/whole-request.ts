import type { DescMethod } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { toConnectError } from "./errors.ts";
import { DEFAULT_TIMEOUT_MS } from "./limits.ts";

export interface WholeRequestOptions {
  readonly clock: Clock;
  /** Whoever has not sent all by then is waited for no longer. */
  readonly shutdown: AbortSignal;
  /** Called when nothing is waited for any more; at once where messages may come for as long as they like. */
  readonly onWhole?: () => void;
}

/**
 * The body of a request. Where the method takes a single message it throws `timeout` unless that has come within the
 * default time-out of a call: callers who send half of it, and say no more, would hold their streams for ever.
 * It throws the reason of the shutdown, or `stopped`: half a request must not hold the stop up. One that breaks off throws `canceled`:
 * that is no defect, its caller has gone.
 */
export function wholeInTime(
  { methodKind, name }: DescMethod,
  body: AsyncIterable<Uint8Array>,
  { clock, shutdown, onWhole = () => {} }: WholeRequestOptions,
): AsyncIterable<Uint8Array> {
  const what = `${name}: reading the request`;
  const isOne = methodKind === "unary" || methodKind === "server_streaming";
  if (!isOne) onWhole();
  const timeoutMs = isOne ? DEFAULT_TIMEOUT_MS : Infinity;
  const operation = new Operation(clock, what, {}, timeoutMs, shutdown);
  return inTime(operation, body, shutdown, isOne ? onWhole : () => {});
}

/** The same for a body of many messages that the shutdown throws its reason into. */
export class UntilGone implements AsyncIterableIterator<Uint8Array, undefined, undefined> {
  readonly #fail = (error: unknown): never => {
    throw error instanceof ConnectError ? error : asConnect(error);
  };

  constructor(private readonly body: AsyncIterator<Uint8Array, undefined>) {}

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.body.next().catch(this.#fail);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** The shutdown's own reason, where it has one for callers. */
function orReason(error: unknown, shutdown: AbortSignal): ConnectError {
  const isStopped = HedgerowError.is(error, "stopped") && shutdown.reason instanceof ConnectError;
  return isStopped ? shutdown.reason : asConnect(error);
}

/** Connect would take errors of ours, and of the connection, for defects. */
function asConnect(cause: unknown): ConnectError {
  const ours = cause instanceof HedgerowError;
  return toConnectError(
    ours ? cause : new HedgerowError("canceled", "the caller went away", { cause }),
  );
}

async function* inTime(
  given: Operation,
  body: AsyncIterable<Uint8Array>,
  shutdown: AbortSignal,
  onWhole: () => void,
) {
  using operation = given;
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await operation.race(chunks.next());
      if (next.done === true) return onWhole();
      yield next.value;
    }
  } catch (error) {
    // Not awaited: some can be left only when the stream ends, with the answer.
    chunks.throw?.(error).catch(() => {});
    throw orReason(error, shutdown);
  } finally {
    chunks.return?.().catch(() => {});
  }
}
