import type { LockRow, TakeOver } from "../store/ports.ts";
import { type LeaseTiming, leaseTiming } from "./timing.ts";

/**
 * The lease protocol as a pure function of what was seen and when. `now` is always the node's own clock
 * (milliseconds, counts suspend). The loop in lease.ts does what `nextStep` says and reports back here.
 */
export type LockState = Contending | Leading;

export interface Contending {
  readonly kind: "contending";
  /** Look at the row no sooner than this. */
  readonly attemptAt: number;
  /** The heartbeat seen last, and since when it has been seen unchanged. */
  readonly watched: { readonly beat: string; readonly since: number } | null;
}

export interface Leading {
  readonly kind: "leading";
  readonly token: number;
  /** From here on this node does not lead, whatever else it believes. */
  readonly deadline: number;
  readonly renewAt: number;
}

export type Step =
  | { readonly kind: "wait"; readonly until: number }
  | { readonly kind: "read" }
  | { readonly kind: "renew"; readonly token: number }
  | { readonly kind: "step-down"; readonly token: number };

export type Claim = Pick<TakeOver, "expectedToken" | "minAgeMs" | "watchedBeat">;

export function contendFrom(now: number): Contending {
  return { kind: "contending", attemptAt: now, watched: null };
}

/** A contender that lets others go before it looks `lagMs` later than it might. */
export function nextStep(state: LockState, now: number, lagMs = 0): Step {
  if (state.kind === "contending") {
    const lookAt = state.attemptAt + lagMs;
    return now >= lookAt ? { kind: "read" } : { kind: "wait", until: lookAt };
  }
  if (now >= state.deadline) return { kind: "step-down", token: state.token };
  if (now >= state.renewAt) return { kind: "renew", token: state.token };
  return { kind: "wait", until: Math.min(state.renewAt, state.deadline) };
}

/**
 * What a contender does about the row that it read: a claim to try at once, or null and the moment of
 * its next look.
 */
export function judgeRow(
  state: Contending,
  row: LockRow | null,
  now: number,
  timing: LeaseTiming,
): { readonly state: Contending; readonly claim: Claim | null } {
  // Whoever holds the lock counts by its own lease, should that be longer than this contender's.
  const { takeOverAgeMs: minAgeMs } = leaseTiming(Math.max(timing.leaseMs, row?.leaseMs ?? 0));
  if (row === null) {
    return { state: { ...state, watched: null }, claim: { expectedToken: null, minAgeMs } };
  }
  const unchanged = state.watched?.beat === row.beat;
  const watched =
    state.watched !== null && unchanged ? state.watched : { beat: row.beat, since: now };
  const next = (attemptAt: number): Contending => ({ kind: "contending", attemptAt, watched });
  if (row.ageMs !== null) {
    if (row.ageMs >= minAgeMs) {
      return { state: next(now), claim: { expectedToken: row.token, minAgeMs } };
    }
    return { state: next(now + minAgeMs - row.ageMs), claim: null };
  }
  // No clock tells the age: only a watch of our own does.
  const ripeAt = watched.since + minAgeMs;
  if (now >= ripeAt) {
    const claim = { expectedToken: row.token, minAgeMs, watchedBeat: row.beat };
    return { state: next(now), claim };
  }
  return { state: next(ripeAt), claim: null };
}

/** What may be claimed of a row that is said to have been given up by the holder of `token`: nothing else. */
export function claimFreed(token: number): Claim {
  return { expectedToken: token, minAgeMs: Infinity };
}

/** The take-over was committed; `sentAt` is when it was sent, which is before the database's heartbeat. */
export function acquired(token: number, sentAt: number, timing: LeaseTiming): Leading {
  return {
    kind: "leading",
    token,
    deadline: sentAt + timing.holdMs,
    renewAt: sentAt + timing.renewEveryMs,
  };
}

/** Somebody else was faster, or the call failed: look again after `delayMs`. */
export function refused(state: Contending, now: number, delayMs: number): Contending {
  return { ...state, attemptAt: now + delayMs };
}

/** A renewal sent at `sentAt` succeeded. One whose answer comes after the deadline does not count. */
export function renewed(state: Leading, sentAt: number, now: number, timing: LeaseTiming): Leading {
  if (now >= state.deadline) return state;
  return acquired(state.token, sentAt, timing);
}

/** A renewal failed, its outcome unknown: again soon, while the deadline stays where it was. */
export function renewalFailed(state: Leading, now: number, delayMs: number): Leading {
  return { ...state, renewAt: now + delayMs };
}
