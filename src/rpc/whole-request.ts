import type { DescMethod } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { toConnectError } from "./errors.ts";
import { DEFAULT_TIMEOUT_MS } from "./limits.ts";

/**
 * The body of a request. Where the method takes a single message it throws `timeout` unless that has come within the
 * default time-out of a call: callers who send half of it, and say no more, would hold their streams for ever.
 * `onWhole` is called when nothing is waited for any more; at once where messages may come for as long as they like.
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
  return body;
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
    // Connect would take ours for a defect.
    throw error instanceof HedgerowError ? toConnectError(error) : error;
  } finally {
    chunks.return?.().catch(() => {});
  }
}
