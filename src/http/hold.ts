import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { Holder } from "./signs-of-life.ts";

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
/** A caller whose clock is slow by 5 %, and this node's is fast by as much, believes for so much longer. */
const DRIFT = 1.05 / 0.95;

/**
 * Holds a claim until the stream ends on either side, and says again and again for how long it is held from then
 * on: a caller that hears nothing any more knows that it holds nothing. One of whom nothing is heard any more is
 * told nothing more, and loses the claim when it must have given it up by itself. Throws `claim_lost`.
 */
export async function* whileHeld<Message>(
  clock: Clock,
  claim: Claim,
  { signal, holder }: { readonly signal: AbortSignal; readonly holder: Holder },
  message: (heldForMs: number) => Message,
): AsyncGenerator<Message, void, undefined> {
  const heldForMs = () => Math.min(MAX_HELD_MS, Math.floor(claim.heldForMs));
  const ended = AbortSignal.any([claim.signal, signal]);
  let toldAt = Number.NEGATIVE_INFINITY;
  let givenUpAt = Infinity;
  try {
    while (!signal.aborted) {
      if (claim.signal.aborted) throw HedgerowError.from(claim.signal.reason);
      if (clock.now() >= givenUpAt) throw silent(clock.now() - toldAt);
      if ((holder.heardAt ?? Infinity) > toldAt) {
        const forMs = heldForMs();
        yield message(forMs);
        toldAt = clock.now();
        givenUpAt = holder.heardAt === null ? Infinity : toldAt + forMs * DRIFT;
      }
      const waitMs = Math.min(heldForMs() / 3, givenUpAt - clock.now());
      await sleep(clock, Math.max(1, waitMs), ended).catch(() => {}); // what has ended is looked at here
    }
    // The server's stop and the caller's deadline say so; somebody who has gone hears nothing.
    if (signal.reason instanceof ConnectError) throw signal.reason;
  } finally {
    await claim.release();
  }
}

function silent(ms: number): HedgerowError {
  const seconds = (ms / 1e3).toFixed(1);
  return new HedgerowError("claim_lost", `nothing was heard of its holder for ${seconds} s`);
}
