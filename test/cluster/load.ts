import type { Cluster, Entry, Node } from "./processes.ts";

interface Acknowledged {
  readonly key: string;
  readonly id: string;
  readonly value: string;
  readonly atMs: number;
}

/** Callers that append through all nodes in turn, and know what was acknowledged. */
export class AppendLoad {
  readonly acknowledged: Acknowledged[] = [];
  /** Everything that was tried, acknowledged or not. */
  readonly tried = new Map<string, string>();
  #going = true;
  #next = 0;
  readonly #callers: Promise<void>[];

  constructor(
    private readonly cluster: Cluster,
    callers: number,
    private readonly pauseMs = 0,
    private readonly keys = 8,
  ) {
    this.#callers = Array.from({ length: callers }, (_, i) => this.#caller(i));
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#callers);
  }

  /** What is wrong with the log: lost, twice, or never put. */
  async violations(node: Node): Promise<string[]> {
    const violations: string[] = [];
    const stored = new Map<string, Entry>();
    for (let k = 0; k < this.keys; k++) {
      for (const entry of await node.entries(`load-${k}`)) {
        if (stored.has(entry.id)) violations.push(`${entry.id} is there twice`);
        stored.set(entry.id, entry);
        if (this.tried.get(entry.id) !== entry.value) violations.push(`${entry.id} was never put`);
      }
    }
    for (const { key, id, value } of this.acknowledged) {
      const entry = stored.get(id);
      if (entry?.key !== key || entry.value !== value) violations.push(`${id} is lost`);
    }
    return violations;
  }

  async #caller(index: number): Promise<void> {
    for (let turn = index; this.#going; turn++) {
      const { living } = this.cluster;
      const node = living[turn % living.length];
      if (node === undefined) return;
      const id = `entry-${this.#next++}`;
      const key = `load-${turn % this.keys}`;
      const value = `value of ${id}`;
      this.tried.set(id, value);
      // A put that fails is repeated elsewhere with the same id: it must not be there twice.
      for (let attempt = 0; this.#going && attempt < 50; attempt++) {
        const at = attempt === 0 ? node : this.cluster.living[attempt % this.cluster.living.length];
        if ((await at?.put(key, value, id, 1_000))?.ok === true) {
          this.acknowledged.push({ key, id, value, atMs: performance.now() });
          break;
        }
        await Bun.sleep(5);
      }
      if (this.pauseMs > 0) await Bun.sleep(this.pauseMs);
    }
  }
}

/** One writer per register, each counting up through the nodes that do not lead; a failed write is skipped. */
export class RegisterLoad {
  /** The last acknowledged number of each register. */
  readonly last: number[];
  #going = true;
  readonly #writers: Promise<void>[];

  constructor(
    private readonly through: readonly Node[],
    registers: number,
  ) {
    this.last = Array.from({ length: registers }, () => 0);
    this.#writers = this.last.map((_, i) => this.#writer(i));
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#writers);
  }

  async #writer(index: number): Promise<void> {
    for (let n = 1; this.#going; n++) {
      const node = this.through[(index + n) % this.through.length];
      const request = { key: `register-${index}`, value: String(n), noAppend: true };
      const answer = await node?.call("Put", request, 1_000);
      if (answer?.ok === true) this.last[index] = n;
      // Seldom enough that a stop of the leader may fall outside of its transactions.
      await Bun.sleep(50);
    }
  }
}
