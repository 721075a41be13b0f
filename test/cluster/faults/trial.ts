import { type Cluster, type Node, until } from "../processes.ts";
import type { StoreKind } from "../stores.ts";
import { Callers } from "./callers.ts";
import { Holders, LOCK } from "./holders.ts";
import { Recorder } from "./recorder.ts";

/** From the end of a fault until writes are accepted again, and until all is as it was. */
const RECOVERY_MS = 15_000;
const CALLERS_PER_NODE = 2;
const LAST_LINES = 30;
/** The share of faults that hit the leader: a cluster has the most to do then. */
const LEADERS = 0.7;

/** Of some locks: longer than their lease. */
const LOCK_USE_MS = 3_000;

function useMs(longMs: number): number {
  return Math.random() < 0.1 ? longMs : 50 + 500 * Math.random();
}

/** One cluster that lives through faults while clients of its nodes write, read, hold permits and a lock. */
export class Trial {
  readonly recorder = new Recorder();
  readonly holders: Holders;
  readonly #callers: Callers;
  #probes = 0;

  /** Begins at once: the cluster has settled. Some permits are used for `longUseMs`, if they are not lost before. */
  constructor(
    { pauseMs }: Pick<StoreKind, "pauseMs">,
    readonly cluster: Cluster,
    longUseMs = 5_000,
  ) {
    this.#callers = new Callers(cluster, this.recorder, CALLERS_PER_NODE, pauseMs);
    this.holders = new Holders(this.recorder, {
      usePermitMs: () => useMs(longUseMs),
      useLockMs: () => useMs(LOCK_USE_MS),
      pauseMs: pauseMs / 3,
      fenced: true,
    });
    this.holders.begin(cluster.nodes);
  }

  /** Whom the next fault hits: the leader, or, more seldom, another node. */
  victim(leader: Node): Node {
    const others = this.cluster.nodes.filter((node) => node !== leader);
    if (Math.random() < LEADERS) return leader;
    return others[Math.floor(Math.random() * others.length)] as Node;
  }

  /** Waits until each of `nodes` has acknowledged a write that began after this; gives the milliseconds. */
  async writable(nodes: readonly Node[]): Promise<number> {
    const from = performance.now();
    const key = `probes-${this.#probes++}`;
    const written = nodes.map((node) =>
      until(`a write through ${node.address}`, RECOVERY_MS, async () => {
        return (await this.recorder.put(node, { key })).kind === "written";
      }),
    );
    await this.#explained(Promise.all(written));
    return performance.now() - from;
  }

  /** Waits until the cluster is whole again and the lock changes hands; gives the leader. */
  async settled(): Promise<Node> {
    const leader = await this.cluster.settled(RECOVERY_MS);
    await this.#explained(this.holders.given([LOCK], RECOVERY_MS));
    return leader;
  }

  /**
   * Waits until permits of all semaphores in use are given on. Nothing else is written meanwhile: the emulator lets
   * new transactions go first, and those that change permits read the most.
   */
  async givenOn(withinMs: number): Promise<void> {
    this.#callers.resting = true;
    this.holders.lockRests = true;
    await this.#explained(this.holders.given(this.holders.semaphores, withinMs));
    this.#callers.resting = false;
    this.holders.lockRests = false;
  }

  /** Ends all clients; gives what was wrong. */
  async finish(): Promise<string[]> {
    await this.#callers.stop();
    await this.holders.stop();
    const [node] = this.cluster.living;
    if (node === undefined) return ["no node is left"];
    return [...(await this.recorder.violations(node)), ...this.holders.violations()];
  }

  /** What has been done. */
  get figures(): Record<string, number> {
    const { operations, acknowledged, unknown } = this.recorder;
    const { grants, guardedWrites } = this.holders;
    return { operations, acknowledged, unknown, grants, "writes under the lock": guardedWrites };
  }

  /** A failure tells what the nodes said last. */
  async #explained(work: Promise<unknown>): Promise<void> {
    await work.catch((error: Error) => {
      const said = this.cluster.nodes.map(({ address, stderr }) => {
        return [address, ...stderr.trimEnd().split("\n").slice(-LAST_LINES)].join("\n  ");
      });
      throw new Error([error.message, ...said].join("\n"));
    });
  }
}
