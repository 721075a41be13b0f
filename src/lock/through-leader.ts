import { HedgerowError, type LeaderHint } from "../errors.ts";
import type { Operation } from "../runtime/operation.ts";
import { backoffMs, type Runtime } from "../runtime/runtime.ts";
import type { LeaderDirectory } from "./directory.ts";

export interface LeaderCallOptions {
  readonly runtime: Runtime;
  readonly directory: LeaderDirectory;
  /** Called when the known leader does not answer: somebody should look at the lock's row. */
  readonly onDoubt: () => void;
  /**
   * Whether the call may be made again when a first attempt may have taken effect: it must then have the
   * effect of one.
   */
  readonly repeatable: boolean;
  /** Attempts in all; Infinity: until the operation ends. */
  readonly attempts: number;
  /** Pauses between attempts, in milliseconds, doubled each time; a change of leader ends one at once. */
  readonly pauseMs: { readonly first: number; readonly longest: number };
  /** Milliseconds after which a repeatable attempt is given up for another; Infinity: never. */
  readonly attemptTimeoutMs: number;
}

/** What one attempt may take. */
export interface Attempt {
  readonly timeoutMs: number;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Makes a call to whoever leads, again after a change of leader, until the operation ends. Only the
 * absence of a leader and failures of transport are retried, never what the leader's handler said.
 */
export async function throughLeader<T>(
  operation: Operation,
  options: LeaderCallOptions,
  call: (leader: LeaderHint, attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { directory, runtime, repeatable, attemptTimeoutMs, pauseMs } = options;
  let failure: HedgerowError | null = null;
  let mayHaveHappened = false;
  for (let attempt = 0; attempt < options.attempts; attempt++) {
    if (attempt > 0) {
      const { first, longest } = pauseMs;
      const ms = backoffMs(runtime.random, attempt - 1, first, longest);
      if (!(await pause(operation, directory, runtime, ms))) break;
    }
    const leader = directory.leader;
    if (leader === null) {
      failure = noLeader(operation.what);
      options.onDoubt();
      continue;
    }
    const remainingMs = operation.remainingMs();
    const timeoutMs = repeatable ? Math.min(remainingMs, attemptTimeoutMs) : remainingMs;
    try {
      const work = call(leader, { timeoutMs, signal: operation.callerSignal });
      return await (repeatable ? unlessLeaderChanges(work, leader, directory) : work);
    } catch (error) {
      failure = HedgerowError.from(error);
      directory.learn(failure.leader);
      const vague = failure.code === "outcome_unknown" || failure.code === "timeout";
      if (!isRetryable(failure, repeatable)) {
        // That this attempt did nothing does not say so of an earlier one.
        if (mayHaveHappened && !vague && !tellsOfTheEffect(failure)) break;
        throw failure;
      }
      mayHaveHappened ||= vague;
      if (failure.code !== "overloaded") options.onDoubt();
    }
  }
  const { ended } = operation;
  if (ended?.code === "canceled") throw ended;
  if (ended?.code === "stopped" && !mayHaveHappened) throw ended;
  failure ??= noLeader(operation.what);
  if (!mayHaveHappened) throw failure;
  if (ended?.code !== "timeout") throw unknownOutcome(operation.what, failure);
  if (failure.message === ended.message) throw ended;
  throw new HedgerowError(ended.code, `${ended.message} (${failure.message})`, { cause: failure });
}

/** Whether the other side's answer tells what became of the call, earlier attempts included. */
function tellsOfTheEffect({ code }: HedgerowError): boolean {
  return code === "conflict" || code === "handler_failed" || code === "canceled";
}

function isRetryable(failure: HedgerowError, repeatable: boolean): boolean {
  switch (failure.code) {
    case "no_leader":
    case "not_leader":
    case "fenced":
    case "unavailable":
    case "overloaded":
      return true;
    // The leader is stopping, or the connection broke with it: another one will come.
    case "stopped":
    case "outcome_unknown":
    case "timeout":
      return repeatable;
    default:
      return false;
  }
}

/** Gives a call up once another leader is known: the one that was asked may never answer. */
function unlessLeaderChanges<T>(
  work: Promise<T>,
  leader: LeaderHint,
  directory: LeaderDirectory,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const unlisten = directory.onChange(() => {
      if (directory.leader === null || directory.leader.token === leader.token) return;
      unlisten();
      reject(new HedgerowError("outcome_unknown", "the leader changed while it was asked"));
    });
    const settle = <V>(end: (value: V) => void) => {
      return (value: V) => {
        unlisten();
        end(value);
      };
    };
    work.then(settle(resolve), settle(reject));
  });
}

function noLeader(what: string): HedgerowError {
  return new HedgerowError("no_leader", `${what}: no leader is known: see \`hedgerow doctor\``);
}

function unknownOutcome(what: string, cause: HedgerowError): HedgerowError {
  const message = `${what}: the connection to the leader broke, it may or may not have taken effect`;
  return new HedgerowError("outcome_unknown", message, { cause });
}

/** Waits for the pause or a change of leader; false once the operation is over. */
function pause(
  operation: Operation,
  directory: LeaderDirectory,
  runtime: Runtime,
  pauseMs: number,
): Promise<boolean> {
  const { signal } = operation;
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (goOn: boolean) => {
      timer.cancel();
      unlisten();
      signal.removeEventListener("abort", abort);
      resolve(goOn);
    };
    const abort = () => end(false);
    const timer = runtime.clock.schedule(pauseMs, () => end(true));
    const unlisten = directory.onChange(() => end(true));
    signal.addEventListener("abort", abort, { once: true });
  });
}
