import type { HedgerowError } from "../../src/errors.ts";
import type { HeldLock } from "../../src/lock/named/held-lock.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import type { ClusterOptions, SimulatedNode } from "../simulation/world/cluster.ts";
import { Holders } from "../simulation/world/holders.ts";
import { Story } from "./world.ts";

/** The default lease of a lock, in milliseconds. */
export const LOCK_LEASE_MS = 10_000;
export const timing = leaseTiming(LOCK_LEASE_MS);
/** From the last heartbeat to the next holder at the latest: expiry, and one retry. */
export const EXPIRY_MS = timing.takeOverAgeMs + 500;
/** From a release to the next holder: the release's reply, three messages, the take-over, all at their slowest. */
export const HAND_OVER_MS = 20;

/** Who waits for a lock while the story goes on. */
export interface Waiter {
  held: HeldLock | null;
  error: HedgerowError | null;
}

/** A story about locks: at no moment do two nodes hold the same one. */
export class LockStory extends Story {
  readonly holders = new Holders(this.cluster);

  constructor(options: Partial<ClusterOptions> = {}, seed = 1) {
    super({ keepLines: true, ...options }, seed);
    const { scheduler } = this.cluster;
    const checkLeader = scheduler.afterEach;
    scheduler.afterEach = () => {
      checkLeader();
      this.holders.check();
    };
  }

  /** All that was found wrong. */
  get wrong(): string[] {
    return [...this.violations, ...this.observer.violations, ...this.holders.violations];
  }

  /** The nodes that do not lead, once one does. */
  followers(): SimulatedNode[] {
    const leader = this.settledLeader();
    return this.cluster.nodes.filter((node) => node !== leader);
  }

  /** The lock, taken through a node. */
  taken({ address, machine, core }: SimulatedNode, name = "jobs"): HeldLock {
    const { value, error } = this.outcome(core.locks.lock(name).acquire());
    if (value === null) throw error;
    this.holders.add(address, machine, value);
    return value;
  }

  /** A call to acquire that goes on while the story does. */
  waiting({ address, machine, core }: SimulatedNode, options = {}, name = "jobs"): Waiter {
    const waiter: Waiter = { held: null, error: null };
    core.locks
      .lock(name)
      .acquire(options)
      .then(
        (held) => {
          waiter.held = held;
          this.holders.add(address, machine, held);
        },
        (error: HedgerowError) => {
          waiter.error = error;
        },
      );
    this.pass(5);
    return waiter;
  }

  /** Passes time until the waiter has the lock; gives the milliseconds that it took. */
  untilHeld(waiter: Waiter, withinMs: number): number {
    return this.until("the next has it", withinMs, () => waiter.held !== null);
  }

  /** Counts from now on. */
  forgetLines(): void {
    this.cluster.trace.lines.length = 0;
  }

  /** How often something was done since. */
  lines(what: string): number {
    return this.cluster.trace.lines.filter((line) => line.endsWith(what)).length;
  }
}

/** The lock through a node. */
export function lockOf({ core }: SimulatedNode, name = "jobs") {
  return core.locks.lock(name);
}
