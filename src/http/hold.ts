import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { Claim, Holder } from "./signs-of-life.ts";

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
  holder.granted(claim);
  const heldForMs = () => holder.heldForMs ?? 0;
  const ended = AbortSignal.any([claim.signal, signal]);
  // At once, also while a message of which nobody takes anything keeps this from coming back.
  let released: Promise<void> | null = null;
  const release = () => (released ??= claim.release());
  const giveUp = () => void release().catch(() => {}); // told where it is awaited
  signal.addEventListener("abort", giveUp, { once: true });
  let toldAt = Number.NEGATIVE_INFINITY;
  try {
    while (!signal.aborted) {
      if (claim.signal.aborted) throw HedgerowError.from(claim.signal.reason);
      if (holder.heardAt > toldAt) {
        const forMs = heldForMs();
        yield message(forMs);
        toldAt = clock.now();
        holder.told(forMs);
      }
      if (clock.now() >= holder.believesUntil) throw silent(clock.now() - holder.heardAt);
      const waitMs = Math.min(heldForMs() / 3, holder.believesUntil - clock.now());
      await sleep(clock, Math.max(1, waitMs), ended).catch(() => {}); // what has ended is looked at here
    }
    // The server's stop and the caller's deadline say so; somebody who has gone hears nothing.
    if (signal.reason instanceof ConnectError) throw signal.reason;
  } finally {
    signal.removeEventListener("abort", giveUp);
    await release();
  }
}

function silent(ms: number): HedgerowError {
  const seconds = (ms / 1e3).toFixed(1);
  return new HedgerowError("claim_lost", `nothing was heard of its holder for ${seconds} s`);
}
