/** The ports through which time and randomness enter. Nothing else in `src` may ask the machine for either. */

export interface Timer {
  /** Does nothing once the timer has fired. */
  cancel(): void;
}

export interface Clock {
  /**
   * Milliseconds, with fractions, on a clock that never jumps and that counts the time a machine is
   * suspended (CLOCK_BOOTTIME). All processes of one boot share it. Only differences mean anything.
   */
  now(): number;
  /** Microseconds since the epoch by the wall clock, which may jump: for display, ids and tokens. */
  wallMicros(): number;
  /** Calls `run` once, no sooner than in `ms` milliseconds; 0: once the event loop's ready work is done. */
  schedule(ms: number, run: () => void): Timer;
  /** Names the boot that `now` counts from. */
  readonly bootId: string;
}

export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An id that nobody else makes: 26 characters, sorts by the wall clock to the millisecond. */
  id(): string;
}

export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
}

/** What every call that waits takes. */
export interface CallOptions {
  /** Milliseconds until the call fails with `timeout`. */
  readonly timeoutMs?: number | undefined;
  /** Ends the call with `canceled`. */
  readonly signal?: AbortSignal | undefined;
}

/** `baseMs` doubled per attempt up to `maxMs`, of which a random half is taken off. */
export function backoffMs(random: Random, attempt: number, baseMs: number, maxMs: number): number {
  const full = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return full * (1 - random.next() / 2);
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** A ULID (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, Crockford's base 32. */
export function ulid(wallMs: number, random5Bits: () => number): string {
  let time = "";
  for (let rest = wallMs, i = 0; i < 10; i++) {
    time = CROCKFORD[rest % 32] + time;
    rest = Math.floor(rest / 32);
  }
  let tail = "";
  for (let i = 0; i < 16; i++) tail += CROCKFORD[random5Bits() & 31];
  return time + tail;
}
