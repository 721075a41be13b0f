import type { HedgerowError } from "../../errors.ts";
import type { Lease } from "../lease.ts";
import type { HeldLock } from "./held-lock.ts";
import { TURN_MS } from "./lines.ts";
import { Standing, type StandingOptions } from "./standing.ts";

/** What a lease tells while it contends. */
export interface Contending {
  readonly onHeld: (held: HeldLock) => void;
  readonly onMiss: (error: HedgerowError | null) => void;
}

export interface AcquisitionOptions extends Omit<StandingOptions, "onPosition"> {
  readonly openLease: (contending: Contending) => Lease;
}

/**
 * One that waits for a lock: contends for it in the database, by the order of the leader's line as far as there
 * is one. Whoever stands further back looks later at the row of a holder that is silent.
 */
export class Acquisition {
  /** Why the last look at the row failed; null if the lock was simply held. */
  failure: HedgerowError | null = null;
  readonly #lease: Lease;
  readonly #standing: Standing;
  readonly #held = Promise.withResolvers<HeldLock>();
  #told = false;

  constructor(options: AcquisitionOptions) {
    this.#lease = options.openLease({
      onHeld: (held) => {
        this.#held.resolve(held);
        // Once the holder has gone on: nobody waits for this.
        options.clock.schedule(0, () => this.#standing.leave(Number(held.token)));
      },
      onMiss: (error) => this.#onMiss(error),
    });
    this.#standing = new Standing({
      ...options,
      onPosition: (ahead, anew) => this.#onPosition(ahead, anew),
    });
  }

  get held(): Promise<HeldLock> {
    return this.#held.promise;
  }

  /** The lock is said to be free, and this one is the first to be told. */
  turn(freed: number): void {
    this.#told = true;
    this.#lease.kick(freed);
  }

  /** Resolves, within seconds, to the token of a lock that it got nevertheless and gave back; null for none. */
  abandon(): Promise<number | null> {
    this.#standing.leave(0);
    return this.#lease.stop();
  }

  #onPosition(ahead: number, anew: boolean): void {
    this.#lease.lagMs = ahead * TURN_MS;
    // A release may have fallen between two leaders.
    if (anew && ahead === 0) this.#lease.kick();
    this.#lease.start();
  }

  #onMiss(error: HedgerowError | null): void {
    this.failure = error;
    if (!this.#told || error !== null) return;
    this.#told = false;
    // Says that the lock is not free: nobody else need look.
    this.#standing.ask();
  }
}
