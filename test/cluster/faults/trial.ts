import { type Cluster, type Node, until } from "../processes.ts";
import type { StoreKind } from "../stores.ts";
import { Callers } from "./callers.ts";
import { Holders, LOCK } from "./holders.ts";
import { Recorder } from "./recorder.ts";

/** From the end of a fault until writes are accepted again, and until all is as it was. */
const RECOVERY_MS = 15_000;
const CALLERS_PER_NODE = 2;

/** One cluster that lives through faults while clients of its nodes write, read, hold permits and a lock. */
export class Trial {
  readonly recorder = new Recorder();
  readonly holders: Holders;
  readonly #callers: Callers;
  #probes = 0;

  /** Begins at once: the cluster has settled. */
  constructor(
    { pauseMs }: StoreKind,
    readonly cluster: Cluster,
  ) {
    this.#callers = new Callers(cluster, this.recorder, CALLERS_PER_NODE, pauseMs);
    this.holders = new Holders(this.recorder, {
      // Most claims are short, some outlive a change of the leader.
      useMs: () => (Math.random() < 0.1 ? 5_000 : 50 + 500 * Math.random()),
      pauseMs: pauseMs / 3,
      fenced: true,
    });
    this.holders.begin(cluster.nodes);
  }

  /** Waits until each of `nodes` has acknowledged a write that began after this; gives the milliseconds. */
  async writable(nodes: readonly Node[]): Promise<number> {
    const from = performance.now();
    const key = `probes-${this.#probes++}`;
    await Promise.all(
      nodes.map((node) =>
        until(`a write through ${node.address}`, RECOVERY_MS, async () => {
          return (await this.recorder.put(node, { key })).kind === "written";
        }),
      ),
    );
    return performance.now() - from;
  }

  /** Waits until the cluster is whole again and the lock changes hands; gives the leader. */
  async settled(): Promise<Node> {
    const leader = await this.cluster.settled(RECOVERY_MS);
    await this.holders.given([LOCK], RECOVERY_MS);
    return leader;
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
}
