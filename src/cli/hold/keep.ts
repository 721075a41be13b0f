import { sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { HedgerowClient } from "../client.ts";
import type { Held } from "./watch.ts";

/** Gives signs of life, four in the time that a grant lasts, until the signal aborts. Never rejects. */
export async function keepHold(
  clock: Clock,
  client: HedgerowClient,
  hold: string,
  { forMs }: Held,
  signal: AbortSignal,
): Promise<void> {
  const everyMs = forMs / 4;
  while (!signal.aborted) {
    // One that fails is followed by the next; if all do, the stream ends and says so.
    await client.keepHold({ hold }, { timeoutMs: everyMs, signal }).catch(() => {});
    await sleep(clock, everyMs, signal).catch(() => {});
  }
}
