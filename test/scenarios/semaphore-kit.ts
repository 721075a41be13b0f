import type { HedgerowError } from "../../src/errors.ts";
import type { HeldPermit } from "../../src/semaphore/held-permit.ts";
import type { PermitOptions } from "../../src/semaphore/semaphores.ts";
import { heldUntil, permitTiming } from "../../src/semaphore/timing.ts";
import type { SemaphoreRows } from "../../src/store/ports.ts";
import type { ClusterOptions, SimulatedNode } from "../simulation/world/cluster.ts";
import { PermitHolders } from "../simulation/world/permit-holders.ts";
import { LEASE_MS, Story } from "./world.ts";

export const timing = permitTiming(LEASE_MS);
/** How long a permit is held without a renewal, from when the last one was sent. */
export const HOLD_MS = heldUntil(0, timing.leaseMs);
/** From the last renewal to the next holder at the latest: revocation, and the transaction. */
export const EXPIRY_MS = timing.revokeAfterMs + 100;
/** From a release to the next holder: two messages and one transaction, all at their slowest. */
export const HAND_OVER_MS = 12;
/** From a leader's end to when the next one serves. */
export const FAIL_OVER_MS = 4_000;

/** Who waits for a permit while the story goes on. */
export interface Waiter {
  permit: HeldPermit | null;
  error: HedgerowError | null;
}

export interface Want extends PermitOptions {
  readonly name?: string;
  readonly limit?: number;
}

/** A story about semaphores: at no moment are more permits held than there are. */
export class SemaphoreStory extends Story {
  readonly holders = new PermitHolders(this.cluster);

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

  /** The leader, and the nodes that do not lead. */
  cast(): [SimulatedNode, SimulatedNode, SimulatedNode] {
    const leader = this.settledLeader();
    return [leader, this.follower(0), this.follower(1)];
  }

  /** A permit, taken through a node. */
  taken(node: SimulatedNode, want: Want = {}): HeldPermit {
    const waiter = this.waiting(node, want);
    this.until("it is taken", 60_000, () => waiter.permit !== null || waiter.error !== null);
    if (waiter.permit === null) throw waiter.error;
    return waiter.permit;
  }

  /** A call to acquire that goes on while the story does. */
  waiting(node: SimulatedNode, { name = "jobs", limit = 1, ...options }: Want = {}): Waiter {
    const { address, machine, core } = node;
    const waiter: Waiter = { permit: null, error: null };
    core.semaphores
      .semaphore(name, limit)
      .acquire(options)
      .then(
        (permit) => {
          waiter.permit = permit;
          this.holders.add(address, machine, permit, limit);
        },
        (error: HedgerowError) => {
          waiter.error = error;
        },
      );
    this.pass(10);
    return waiter;
  }

  try({ core }: SimulatedNode, { name = "jobs", limit = 1, ...options }: Want = {}) {
    return this.outcome(core.semaphores.semaphore(name, limit).tryAcquire(options));
  }

  release(permit: HeldPermit) {
    return this.outcome(permit.release());
  }

  /** Passes time until the waiter has its permit; gives the milliseconds that it took. */
  untilHeld(waiter: Waiter, withinMs: number): number {
    return this.until("the next has it", withinMs, () => waiter.permit !== null);
  }

  /** What lies in the table, read past all faults. */
  rows(name = "jobs"): SemaphoreRows {
    let rows: SemaphoreRows | null = null;
    const { semaphores } = this.cluster.database.connect();
    void semaphores?.read(name).then((read) => {
      rows = read;
    });
    this.cluster.scheduler.after(0, () => {});
    this.pass(0);
    return rows as unknown as SemaphoreRows;
  }

  owners(name = "jobs"): string[] {
    return this.rows(name).permits.map(({ owner }) => owner);
  }

  /** Counts from now on. */
  forgetLines(): void {
    this.cluster.trace.lines.length = 0;
  }

  /** How often something was done since. */
  lines(what: string): number {
    return this.cluster.trace.lines.filter((line) => line.includes(what)).length;
  }
}
