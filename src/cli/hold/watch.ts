import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../../errors.ts";
import { fromConnectError } from "../../rpc/errors.ts";
import { sleep } from "../../runtime/operation.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";

/** Milliseconds; each message is counted from up to twice this before it came. */
const MAX_BEAT_MS = 250;

/** What a node says of a claim, at first when it is granted and again and again while it is held. */
export interface Held {
  /**
   * Held for so many milliseconds from now, unless a later message prolongs it. The sender counts from when
   * it sent this: the way here adds to it, and must be shorter than what leaders wait beyond a lease.
   */
  readonly forMs: number;
}

/**
 * Resolves with the reason once the claim is not surely held any more: its stream has ended or failed, or
 * nothing has prolonged it in time. `first` is what was received just now. Never rejects.
 */
export async function untilLost(
  clock: Clock,
  first: Held,
  later: AsyncIterator<Held>,
): Promise<HedgerowError> {
  let deadline = clock.now() + first.forMs;
  using pulse = new Pulse(clock, Math.min(MAX_BEAT_MS, first.forMs / 40));
  for (;;) {
    using deadlineTimer = new Deadline(clock, deadline);
    const next = later
      .next()
      .then(({ done, value }) => (done ? lost("the node has ended it") : value), errorOf);
    const heard = await Promise.race([next, deadlineTimer.passed]);
    if (heard instanceof HedgerowError) return heard;
    // After a pause a message may be read before the timer has run.
    if (clock.now() >= deadline) return late();
    deadline = pulse.nothingUnreadAt + heard.forMs;
  }
}

/**
 * Tells when nothing that had come was left unread. What is read after a pause of this process may be as old as the
 * pause: it counts from before that.
 */
class Pulse implements Disposable {
  #before: number;
  #last: number;
  #timer: Timer;

  constructor(
    private readonly clock: Clock,
    private readonly everyMs: number,
  ) {
    this.#before = this.#last = clock.now();
    this.#timer = this.#next();
  }

  /** The last beat but one: after a pause a beat may come before what has arrived is read. */
  get nothingUnreadAt(): number {
    return this.#before;
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }

  #next(): Timer {
    return this.clock.schedule(this.everyMs, () => {
      this.#before = this.#last;
      this.#last = this.clock.now();
      this.#timer = this.#next();
    });
  }
}

class Deadline implements Disposable {
  readonly passed: Promise<HedgerowError>;
  readonly #over = new AbortController();

  constructor(clock: Clock, deadline: number) {
    this.passed = sleep(clock, deadline - clock.now(), this.#over.signal).then(late, late);
  }

  [Symbol.dispose](): void {
    this.#over.abort();
  }
}

function errorOf(thrown: unknown): HedgerowError {
  return thrown instanceof ConnectError ? fromConnectError(thrown) : HedgerowError.from(thrown);
}

function late(): HedgerowError {
  return lost("the node has not confirmed it in time");
}

function lost(message: string): HedgerowError {
  return new HedgerowError("claim_lost", message);
}
