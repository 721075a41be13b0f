import { HedgerowError } from "../errors.ts";
import type { Effect } from "./effect.ts";

/** Whether a call that failed may be made again: surely nothing was done, or once more does no harm. */
export function mayRepeat({ code }: HedgerowError, effect: Effect): boolean {
  switch (code) {
    case "no_leader":
    case "not_leader":
    case "unavailable":
    case "overloaded":
      return true;
    case "stopped":
    case "outcome_unknown":
    case "timeout":
      return effect !== "twice";
    default:
      return false;
  }
}

/** Whether the call may have had its effect although it failed. */
export function isVague({ code }: HedgerowError): boolean {
  return code === "outcome_unknown" || code === "timeout" || code === "stopped";
}

/**
 * What the caller is told after the last attempt. That it did nothing does not say so of an earlier one, unless it
 * is an answer to the effect itself.
 */
export function finalError(last: HedgerowError, effect: Effect, doubtful: boolean): HedgerowError {
  if (!doubtful || effect !== "same" || isVague(last)) return last;
  const { code } = last;
  if (code === "conflict" || code === "canceled") return last;
  return new HedgerowError(
    "outcome_unknown",
    `an earlier attempt may have succeeded; ${last.message}`,
    {
      cause: last,
      leader: last.leader,
      retryDelayMs: last.retryDelayMs,
    },
  );
}
