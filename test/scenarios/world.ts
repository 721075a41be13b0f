import { HedgerowError } from "../../src/errors.ts";
import { CommitChecker, checkSingleLeader } from "../simulation/world/checkers.ts";
import {
  type ClusterOptions,
  SimulatedCluster,
  type SimulatedNode,
} from "../simulation/world/cluster.ts";

export const LEASE_MS = 2_000;

/** A simulated cluster that tells a story: three nodes unless said otherwise, no faults but the story's. */
export class Story {
  readonly observer = new CommitChecker();
  readonly cluster: SimulatedCluster;
  readonly violations: string[] = [];

  constructor(options: Partial<ClusterOptions> = {}, seed = 1) {
    const { observer } = this;
    this.cluster = new SimulatedCluster(seed, {
      nodes: 3,
      leaseMs: LEASE_MS,
      observer,
      ...options,
    });
    this.cluster.scheduler.afterEach = () => checkSingleLeader(this.cluster, this.violations);
  }

  get now(): number {
    return this.cluster.scheduler.now;
  }

  pass(ms: number): void {
    this.cluster.scheduler.runUntil(this.now + ms);
  }

  /** Passes time until the condition holds; gives the milliseconds that it took. */
  until(what: string, withinMs: number, condition: () => boolean): number {
    const from = this.now;
    if (!this.cluster.scheduler.runUntilDone(from + withinMs, condition)) {
      throw new Error(`${what}: not within ${withinMs} ms`);
    }
    return this.now - from;
  }

  /** The one leader that all living nodes know. */
  settledLeader(withinMs = 10_000): SimulatedNode {
    this.until("all nodes know one leader", withinMs, () => {
      const [leader] = this.cluster.leaders();
      const living = this.cluster.nodes.filter(({ machine }) => machine.alive && !machine.paused);
      return (
        leader !== undefined &&
        living.every(
          ({ core }) => core.leader === leader.address && core.members().length >= living.length,
        )
      );
    });
    return this.cluster.leaders()[0] as SimulatedNode;
  }

  follower(index = 0): SimulatedNode {
    const followers = this.cluster.nodes.filter(
      ({ machine, core }) => machine.alive && !machine.paused && !core.isLeader,
    );
    return followers[index] as SimulatedNode;
  }

  /** Runs a call to its end: its value, or the HedgerowError it failed with, and how long it took. */
  outcome<T>(call: Promise<T>, withinMs = 60_000): Outcome<T> {
    let outcome: Outcome<T> | null = null;
    const from = this.now;
    call.then(
      (value) => {
        outcome = { value, error: null, tookMs: this.now - from };
      },
      (error: unknown) => {
        outcome = { value: null, error: HedgerowError.from(error), tookMs: this.now - from };
      },
    );
    this.until("the call ends", withinMs, () => outcome !== null);
    return outcome as unknown as Outcome<T>;
  }
}

export interface Outcome<T> {
  readonly value: T | null;
  readonly error: HedgerowError | null;
  readonly tookMs: number;
}
