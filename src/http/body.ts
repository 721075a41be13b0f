import { HedgerowError } from "../errors.ts";
import { readBody } from "../rpc/body.ts";
import { DEFAULT_TIMEOUT_MS } from "../rpc/limits.ts";
import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { textBytesFor } from "./limits.ts";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The body as text. Throws `too_large`, `timeout` where it has not come within the default time-out of a
 * call, `stopped` where it has not by the shutdown, or `invalid_argument` where it is not UTF-8.
 */
export async function readText(
  request: Request,
  clock: Clock,
  maxBytes = textBytesFor(),
  shutdown?: AbortSignal,
): Promise<string> {
  using operation = new Operation(
    clock,
    "reading the body",
    { signal: request.signal },
    DEFAULT_TIMEOUT_MS,
    shutdown,
  );
  const bytes = await operation.race(readBody(request, "request", maxBytes)).catch((cause) => {
    if (cause instanceof HedgerowError) throw cause;
    throw new HedgerowError("canceled", "the caller went away", { cause }); // no defect
  });
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new HedgerowError("invalid_argument", "the body is not UTF-8: encode it", { cause });
  }
}
