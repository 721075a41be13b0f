import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { toConnectError } from "./errors.ts";
import { DEFAULT_TIMEOUT_MS } from "./limits.ts";

/**
 * The body of a request. Where the method takes a single message it throws `timeout` unless that has come within the
 * default time-out of a call: callers who send half of it, and say no more, would hold their streams for ever.
 * One that breaks off throws `canceled`: that is no defect, its caller has gone. `onWhole` is called when nothing is waited for any more; at once where messages may come for as long as they like.
 */
export function wholeInTime(
  { methodKind, name }: DescMethod,
  body: AsyncIterable<Uint8Array>,
  clock: Clock,
  onWhole: () => void = () => {},
): AsyncIterable<Uint8Array> {
  if (methodKind === "unary" || methodKind === "server_streaming") {
    return inTime(`${name}: reading the request`, body, clock, onWhole);
  }
  onWhole();
  return untilGone(body);
}

async function* untilGone(body: AsyncIterable<Uint8Array>) {
  try {
    yield* body;
  } catch (cause) {
    throw asConnect(cause);
  }
}

/** Connect would take errors of ours, and of the connection, for defects. */
function asConnect(cause: unknown): ConnectError {
  const ours = cause instanceof HedgerowError;
  return toConnectError(
    ours ? cause : new HedgerowError("canceled", "the caller went away", { cause }),
  );
}

async function* inTime(
  what: string,
  body: AsyncIterable<Uint8Array>,
  clock: Clock,
  onWhole: () => void,
) {
  using operation = new Operation(clock, what, {}, DEFAULT_TIMEOUT_MS);
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
    throw asConnect(error);
  } finally {
    chunks.return?.().catch(() => {});
  }
}
