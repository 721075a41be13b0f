import type { Cluster, Node } from "../processes.ts";
import type { Recorder } from "./recorder.ts";

/** Put to and read at a time. */
const KEYS = 4;
/** Then the key is left to itself and a new one begun: the time to check one grows with its calls. */
const CALLS_PER_KEY = 250;
const LIMITS = [0, 0, 3, -1];

/** Callers of each node that put, put on conditions and get, one call after another. */
export class Callers {
  readonly #keys = Array.from({ length: KEYS }, (_, i) => ({ name: `key-${i}-0`, generation: 0 }));
  /** Whether they call nobody for now. */
  resting = false;
  #going = true;
  readonly #callers: Promise<void>[];

  constructor(
    private readonly cluster: Cluster,
    private readonly recorder: Recorder,
    perNode: number,
    /** Of each caller between two calls, in milliseconds. */
    private readonly pauseMs: number,
  ) {
    this.#callers = cluster.nodes.flatMap((node) =>
      Array.from({ length: perNode }, () => this.#call(node)),
    );
  }

  /** Resolves when the last call has ended. */
  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#callers);
  }

  async #call(node: Node): Promise<void> {
    while (this.#going) {
      await Bun.sleep(this.pauseMs * 2 * Math.random());
      if (node.running && !this.resting) await this.#once(node);
    }
  }

  async #once(node: Node): Promise<void> {
    const { recorder } = this;
    const key = this.#key();
    const dice = Math.random();
    if (dice < 0.4) {
      const result = await recorder.put(node, { key });
      // As a caller does who wants it to be there: again elsewhere, by the same id.
      if (result.kind === "unknown") await recorder.put(this.#other(node), { key, id: result.id });
      return;
    }
    const limit = LIMITS[Math.floor(Math.random() * LIMITS.length)] as number;
    const ids = await recorder.get(node, key, limit);
    if (dice < 0.7 && ids !== null) await recorder.put(node, { key, ifVersion: ids[0] ?? "" });
  }

  #key(): string {
    const i = Math.floor(Math.random() * KEYS);
    const key = this.#keys[i] as { name: string; generation: number };
    if (this.recorder.calls(key.name) >= CALLS_PER_KEY) {
      key.name = `key-${i}-${++key.generation}`;
    }
    return key.name;
  }

  #other(node: Node): Node {
    const others = this.cluster.living.filter((each) => each !== node);
    return others[Math.floor(Math.random() * others.length)] ?? node;
  }
}
