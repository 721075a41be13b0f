import { HedgerowError } from "../errors.ts";
import type { CallOptions } from "../runtime/runtime.ts";

export const DEFAULT_TIMEOUT_MS = 10_000;

/** Throws unless a call may start: `canceled` (or the signal's own HedgerowError), or `unavailable`. */
export function checkStart(what: string, options: CallOptions): void {
  if (options.signal?.aborted) throw canceled(what, options.signal);
  if ((options.timeoutMs ?? DEFAULT_TIMEOUT_MS) <= 0) {
    throw new HedgerowError("unavailable", `${what}: no time was left; nothing was done`);
  }
}

/** Why a call whose signal aborted ends; nothing was done. */
export function canceled(what: string, signal: AbortSignal): HedgerowError {
  const reason: unknown = signal.reason;
  if (reason instanceof HedgerowError) return reason;
  return new HedgerowError("canceled", `${what}: cancelled by the caller; nothing was done`);
}

export function storeClosed(what: string): HedgerowError {
  return new HedgerowError("stopped", `${what}: the store is closed`);
}

export function fenced(name: string): HedgerowError {
  return new HedgerowError(
    "fenced",
    `the lock ${JSON.stringify(name)} was taken over; nothing was written`,
  );
}
