import { HedgerowError } from "../errors.ts";
import { readBody } from "../rpc/body.ts";
import { DEFAULT_TIMEOUT_MS } from "../rpc/limits.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { MAX_KEY_BYTES, MAX_MESSAGE_BYTES, MAX_VALUE_BYTES } from "../store/limits.ts";

/** The largest body of a demo endpoint: a message, or a key, a space and a value. */
const MAX_TEXT_BYTES = Math.max(MAX_MESSAGE_BYTES, MAX_KEY_BYTES + 1 + MAX_VALUE_BYTES);

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The body as text. Throws `too_large`, `timeout` where it has not come within the default time-out of a
 * call, or `invalid_argument` where it is not UTF-8.
 */
export async function readText(request: Request, clock: Clock): Promise<string> {
  using operation = new Operation(
    clock,
    "reading the body",
    { signal: request.signal },
    DEFAULT_TIMEOUT_MS,
  );
  const bytes = await operation.race(readBody(request, "request", MAX_TEXT_BYTES));
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new HedgerowError("invalid_argument", "the body is not UTF-8: encode it", { cause });
  }
}
