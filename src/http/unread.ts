import { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";

/** What HTTP/2 lets a client send of a body before anybody reads it. */
const MAX_BYTES = 65_535;
const TIMEOUT_MS = 1_000;

/**
 * Waits for a short body of which nothing was read, as of a request that is refused: for a second at most, not beyond
 * the shutdown, and never throws. Over HTTP/2 Bun resets the stream of a request that it answers before all of it has come, and clients such
 * as curl then show an error in place of the answer.
 */
export async function takeUnread(
  request: Request,
  clock: Clock,
  shutdown?: AbortSignal,
): Promise<void> {
  if (request.bodyUsed) return;
  const declared = request.headers.get("content-length");
  if (declared === null || !(Number(declared) <= MAX_BYTES)) return;
  using operation = new Operation(
    clock,
    "reading the body",
    { signal: request.signal },
    TIMEOUT_MS,
    shutdown,
  );
  await operation.race(request.bytes()).catch(() => {
    // Too late, or broken off: the answer is the same.
  });
}
