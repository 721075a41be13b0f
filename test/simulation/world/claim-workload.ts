import { HedgerowError } from "../../../src/errors.ts";
import type { Core } from "../../../src/node/core.ts";
import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";
import { MAX_DRIFT, type Machine } from "./machine.ts";
import type { Prng } from "./prng.ts";
import type { Tempo } from "./tempo.ts";

const TIMEOUT_MS = 4_000;

/** What is taken, held, and given back: a lock, or a permit. */
interface Held {
  release(): Promise<void>;
}

/** How one of a kind is asked for. */
export interface Taking<T extends Held> {
  /** As it stands in violations. */
  readonly what: string;
  readonly holdMs: number;
  take(core: Core, timeoutMs: number | undefined): Promise<T>;
}

export interface ClaimKind<T extends Held> {
  /** Draws what a caller takes, and for how long. */
  draw(prng: Prng): Taking<T>;
  /** What every node takes in the end. */
  readonly last: readonly Taking<T>[];
  /** From now on it is held. */
  took(node: string, machine: Machine, held: T): void;
}

/** Callers on all nodes that take claims, hold them for a while, and give them back, until a moment. */
export class ClaimWorkload<T extends Held> {
  /** Calls that ended later than they may or with what is not promised. */
  readonly wrong: string[] = [];
  acquired = 0;
  readonly #held = new Set<T>();
  #stopped = false;

  constructor(
    private readonly cluster: SimulatedCluster,
    private readonly kind: ClaimKind<T>,
  ) {}

  start(untilMs: number, callers: number, tempo: Tempo): void {
    const prng = this.cluster.prng.fork();
    const { scheduler, nodes } = this.cluster;
    for (let i = 0; i < callers; i++) {
      const again = () => {
        if (this.#stopped || scheduler.now >= untilMs) return;
        const node = prng.pick(nodes);
        const taking = this.kind.draw(prng);
        const { machine } = node;
        void this.#take(node, taking).then((held) => {
          if (held === null) return;
          if (this.#stopped) this.#release(held);
          else machine.schedule(taking.holdMs, () => this.#release(held));
        });
        scheduler.after(tempo.pause(prng.between(100, 1_500)), again);
      };
      scheduler.after(prng.between(0, 500), again);
    }
  }

  /** No more calls; what is held is given back. */
  stop(): void {
    this.#stopped = true;
    for (const held of this.#held) this.#release(held);
  }

  /** Every node takes everything once more; tells how many have not had theirs yet. */
  lastRound(): () => number {
    let open = 0;
    for (const { address, machine, core } of this.cluster.nodes) {
      for (const taking of this.kind.last) {
        open++;
        const taken = taking.take(core, undefined).then((held) => {
          this.kind.took(address, machine, held);
          open--;
          return held.release();
        });
        taken.catch((error: unknown) => {
          this.wrong.push(`${taking.what} after recovery: ${HedgerowError.from(error).code}`);
        });
      }
    }
    return () => open;
  }

  async #take(node: SimulatedNode, { what, take }: Taking<T>): Promise<T | null> {
    // The node's process of this moment: after a crash another one runs there.
    const { address, machine, core } = node;
    if (!machine.alive || machine.paused) return null;
    const { scheduler } = this.cluster;
    const startedAt = scheduler.now;
    let ended = false;
    // By the caller's own clock, which may be slow.
    scheduler.after((TIMEOUT_MS + 1) / (1 - MAX_DRIFT), () => {
      if (ended || !machine.alive || machine.paused) return;
      this.wrong.push(`${what} at ${startedAt.toFixed(0)} did not end by its deadline`);
    });
    try {
      const held = await take(core, TIMEOUT_MS);
      this.acquired++;
      this.#held.add(held);
      this.kind.took(address, machine, held);
      return held;
    } catch (error) {
      const { code, message } = HedgerowError.from(error);
      if (code === "internal") this.wrong.push(`internal error: ${message}`);
      return null;
    } finally {
      ended = true;
    }
  }

  #release(held: T): void {
    this.#held.delete(held);
    void held.release();
  }
}
