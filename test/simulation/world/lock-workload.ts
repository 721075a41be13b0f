import { HedgerowError } from "../../../src/errors.ts";
import type { HeldLock } from "../../../src/lock/named/held-lock.ts";
import type { Core } from "../../../src/node/core.ts";
import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";
import { Holders } from "./holders.ts";
import { MAX_DRIFT } from "./machine.ts";
import type { Tempo } from "./tempo.ts";

const TIMEOUT_MS = 4_000;
/** The locks and their leases, in milliseconds. */
const LOCKS: Readonly<Record<string, number>> = { short: 1_000, long: 3_000 };

/** Callers on all nodes that take locks, hold them for a while, and give them back, until a moment. */
export class LockWorkload {
  readonly holders: Holders;
  /** Calls that ended later than they may or with what is not promised. */
  readonly wrong: string[] = [];
  acquired = 0;
  readonly #held = new Set<HeldLock>();
  #stopped = false;

  constructor(private readonly cluster: SimulatedCluster) {
    this.holders = new Holders(cluster);
  }

  start(untilMs: number, callers: number, tempo: Tempo): void {
    const prng = this.cluster.prng.fork();
    const { scheduler, nodes } = this.cluster;
    for (let i = 0; i < callers; i++) {
      const again = () => {
        if (this.#stopped || scheduler.now >= untilMs) return;
        const node = prng.pick(nodes);
        const name = prng.pick(Object.keys(LOCKS));
        const how = prng.chance(0.3) ? "tryAcquire" : "acquire";
        // Now and then longer than its lease.
        const holdMs = prng.chance(0.1) ? prng.between(3_000, 8_000) : prng.between(0, 400);
        const { machine } = node;
        void this.#take(node, name, how).then((held) => {
          if (held === null) return;
          if (this.#stopped) this.#release(held);
          else machine.schedule(holdMs, () => this.#release(held));
        });
        scheduler.after(tempo.pause(prng.between(100, 1_500)), again);
      };
      scheduler.after(prng.between(0, 500), again);
    }
  }

  /** No more calls; what is held is given back. */
  stop(): void {
    this.#stopped = true;
    for (const held of this.#held) void held.release();
  }

  /** Every node takes every lock once more; tells how many have not had theirs yet. */
  lastRound(): () => number {
    let open = 0;
    for (const node of this.cluster.nodes) {
      for (const name of Object.keys(LOCKS)) {
        open++;
        const { address, machine, core } = node;
        void lockOf(core, name)
          .acquire()
          .then((held) => {
            this.holders.add(address, machine, held);
            open--;
            return held.release();
          });
      }
    }
    return () => open;
  }

  async #take(
    node: SimulatedNode,
    name: string,
    how: "acquire" | "tryAcquire",
  ): Promise<HeldLock | null> {
    // The node's process of this moment: after a crash another one runs there.
    const { address, machine, core } = node;
    if (!machine.alive || machine.paused) return null;
    const { scheduler } = this.cluster;
    const startedAt = scheduler.now;
    let ended = false;
    // By the caller's own clock, which may be slow.
    scheduler.after((TIMEOUT_MS + 1) / (1 - MAX_DRIFT), () => {
      if (ended || !machine.alive || machine.paused) return;
      this.wrong.push(`${how} at ${startedAt.toFixed(0)} did not end by its deadline`);
    });
    try {
      const held = await lockOf(core, name)[how]({ timeoutMs: TIMEOUT_MS });
      this.acquired++;
      this.#held.add(held);
      this.holders.add(address, machine, held);
      return held;
    } catch (error) {
      const { code, message } = HedgerowError.from(error);
      if (code === "internal") this.wrong.push(`internal error: ${message}`);
      return null;
    } finally {
      ended = true;
    }
  }

  #release(held: HeldLock): void {
    this.#held.delete(held);
    void held.release();
  }
}

function lockOf({ locks }: Core, name: string) {
  return locks.lock(name, { leaseMs: LOCKS[name] });
}
