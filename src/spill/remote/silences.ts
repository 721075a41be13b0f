import { HedgerowError } from "../../errors.ts";
import type { Clock } from "../../runtime/runtime.ts";

/** Whether the error says that nothing was heard of a holder, or too little: it did not refuse. */
export function isSilence(error: unknown): boolean {
  return HedgerowError.is(
    error,
    "unavailable",
    "outcome_unknown",
    "timeout",
    "overloaded",
    "stopped",
    "canceled",
  );
}

/** What is said of records that a node keeps which does not answer. */
export function silentAt(holder: string): string {
  return `they are kept by ${holder}, which does not answer: try again later`;
}

/** Readers wait for a holder as long as this, less where its lease is shorter: then it has freed what it kept. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 200;
const MOST_RETRY_MS = 1_000;
/** Once their patience is over a holder is not tried more often than this. */
const TRY_EVERY_MS = 5_000;
/** Of a try at the least, also then. */
const TRY_FOR_MS = 1_000;
/** What was not tried for so long is tried as for the first time. */
const STALE_MS = 60_000;

interface Silence {
  /** On the clock's `now`. */
  readonly since: number;
  triedAt: number;
  tries: number;
  why: string;
}

/**
 * Holders that do not answer those who read. How long one has been silent counts for all of its segments: whoever reads
 * on behind the first of them does not wait anew.
 */
export class Silences {
  readonly #silences = new Map<string, Silence>();
  readonly #patienceMs: number;

  constructor(
    private readonly clock: Clock,
    leaseMs: number,
  ) {
    this.#patienceMs = Math.min(PATIENCE_MS, leaseMs);
  }

  /** Before the first try of many. Throws `out_of_reach` where it was tried just now, in vain, and patience is over. */
  check(holder: string): void {
    const now = this.clock.now();
    const silence = this.#known(holder, now);
    const everyMs = Math.min(TRY_EVERY_MS, this.#patienceMs); // so that one try alone never counts for the next
    if (silence === undefined || now >= silence.triedAt + everyMs) return;
    if (now >= silence.since + this.#patienceMs) throw outOfReach(holder, silence);
  }

  /** How long one try may take. */
  tryForMs(holder: string): number {
    const now = this.clock.now();
    const silence = this.#known(holder, now);
    if (silence === undefined) return Infinity;
    return Math.max(silence.since + this.#patienceMs - now, TRY_FOR_MS);
  }

  /** It was tried in vain. Gives the pause before the next try, which is made; throws `out_of_reach` once patience is over. */
  pauseMs(holder: string, why: string): number {
    const now = this.clock.now();
    const silence = this.#known(holder, now) ?? { since: now, triedAt: now, tries: 0, why };
    silence.triedAt = now;
    silence.tries++;
    silence.why = why;
    this.#silences.set(holder, silence);
    if (now >= silence.since + this.#patienceMs) throw outOfReach(holder, silence);
    return Math.min(RETRY_MS * silence.tries, MOST_RETRY_MS);
  }

  /** It was heard of, or is known to be gone. */
  end(holder: string): void {
    this.#silences.delete(holder);
  }

  #known(holder: string, now: number): Silence | undefined {
    const silence = this.#silences.get(holder);
    return silence !== undefined && now < silence.triedAt + STALE_MS ? silence : undefined;
  }
}

function outOfReach(holder: string, { why }: Silence): HedgerowError {
  return new HedgerowError("out_of_reach", `${silentAt(holder)} (${why})`);
}
