import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";

/** What a stream holds for its caller. */
export interface Claim {
  /** Aborts when it is lost. */
  readonly signal: AbortSignal;
  /** For how many milliseconds from now it is held without another renewal. */
  readonly heldForMs: number;
  release(): Promise<void>;
}

/** Longer than any claim is held without a renewal, in milliseconds. */
const MAX_HELD_MS = 86_400_000;

/**
 * Holds a claim until the stream ends on either side, and says again and again for how long it is held from then
 * on: a caller that hears nothing any more knows that it holds nothing. Throws `claim_lost`.
 */
export async function* whileHeld<Message>(
  clock: Clock,
  claim: Claim,
  caller: AbortSignal,
  message: (heldForMs: number) => Message,
): AsyncGenerator<Message, void, undefined> {
  const heldForMs = () => Math.min(MAX_HELD_MS, Math.floor(claim.heldForMs));
  const everyMs = heldForMs() / 3;
  const ended = AbortSignal.any([claim.signal, caller]);
  try {
    while (!caller.aborted) {
      if (claim.signal.aborted) throw HedgerowError.from(claim.signal.reason);
      yield message(heldForMs());
      await sleep(clock, everyMs, ended).catch(() => {}); // what has ended is looked at here
    }
    // The server's stop and the caller's deadline say so; somebody who has gone hears nothing.
    if (caller.reason instanceof ConnectError) throw caller.reason;
  } finally {
    await claim.release();
  }
}
