import { HedgerowError } from "../../../src/errors.ts";
import type { HeldPermit } from "../../../src/semaphore/held-permit.ts";
import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";
import { MAX_DRIFT } from "./machine.ts";
import { PermitHolders } from "./permit-holders.ts";
import type { Tempo } from "./tempo.ts";

const TIMEOUT_MS = 4_000;
/** The semaphores and their limits. Permits of `lengthy` are held longer than they are without a renewal. */
const SEMAPHORES: Readonly<Record<string, number>> = { narrow: 1, wide: 3, lengthy: 2 };

/** Callers on all nodes that take permits, hold them for a while, and give them back, until a moment. */
export class PermitWorkload {
  readonly holders: PermitHolders;
  /** Calls that ended later than they may or with what is not promised. */
  readonly wrong: string[] = [];
  acquired = 0;
  readonly #held = new Set<HeldPermit>();
  #owners = 0;
  #stopped = false;

  constructor(private readonly cluster: SimulatedCluster) {
    this.holders = new PermitHolders(cluster);
  }

  start(untilMs: number, callers: number, tempo: Tempo): void {
    const prng = this.cluster.prng.fork();
    const { scheduler, nodes } = this.cluster;
    for (let i = 0; i < callers; i++) {
      const again = () => {
        if (this.#stopped || scheduler.now >= untilMs) return;
        const node = prng.pick(nodes);
        const how = prng.chance(0.3) ? "tryAcquire" : "acquire";
        const name = prng.pick(Object.keys(SEMAPHORES));
        // Now and then the same owner everywhere.
        const owner = prng.chance(0.2) ? "everybody" : `owner-${this.#owners++}`;
        const holdMs = name === "lengthy" ? prng.between(3_000, 20_000) : prng.between(0, 400);
        const { machine } = node;
        void this.#take(node, name, owner, how).then((permit) => {
          if (permit === null) return;
          if (this.#stopped) this.#release(permit);
          else machine.schedule(holdMs, () => this.#release(permit));
        });
        scheduler.after(tempo.pause(prng.between(100, 1_500)), again);
      };
      scheduler.after(prng.between(0, 500), again);
    }
  }

  /** No more calls; what is held is given back. */
  stop(): void {
    this.#stopped = true;
    for (const permit of this.#held) this.#release(permit);
  }

  /** Every node takes a permit of each once more; tells how many have not had theirs yet. */
  lastRound(): () => number {
    let open = 0;
    for (const node of this.cluster.nodes) {
      for (const [name, limit] of Object.entries(SEMAPHORES)) {
        open++;
        const { address, machine, core } = node;
        void core.semaphores
          .semaphore(name, limit)
          .acquire()
          .then((permit) => {
            this.holders.add(address, machine, permit, limit);
            open--;
            return permit.release();
          });
      }
    }
    return () => open;
  }

  /** Permits that lie in the table though nobody uses them; to be asked when all have been given back. */
  async leaks(): Promise<string[]> {
    const leaks: string[] = [];
    for (const name of Object.keys(SEMAPHORES)) {
      const rows = await this.cluster.database.connect().semaphores?.read(name);
      for (const { owner, holder } of rows?.permits ?? []) {
        leaks.push(`a permit of ${name} is left to ${owner} at ${holder}`);
      }
    }
    return leaks;
  }

  async #take(
    node: SimulatedNode,
    name: string,
    owner: string,
    how: "acquire" | "tryAcquire",
  ): Promise<HeldPermit | null> {
    // The node's process of this moment: after a crash another one runs there.
    const { address, machine, core } = node;
    if (!machine.alive || machine.paused) return null;
    const { scheduler } = this.cluster;
    const startedAt = scheduler.now;
    let ended = false;
    // By the caller's own clock, which may be slow.
    scheduler.after((TIMEOUT_MS + 1) / (1 - MAX_DRIFT), () => {
      if (ended || !machine.alive || machine.paused) return;
      this.wrong.push(`${how} of ${name} at ${startedAt.toFixed(0)} did not end by its deadline`);
    });
    const limit = SEMAPHORES[name] ?? 0;
    try {
      const semaphore = core.semaphores.semaphore(name, limit);
      const permit = await semaphore[how]({ owner, timeoutMs: TIMEOUT_MS });
      this.acquired++;
      this.#held.add(permit);
      this.holders.add(address, machine, permit, limit);
      return permit;
    } catch (error) {
      const { code, message } = HedgerowError.from(error);
      if (code === "internal") this.wrong.push(`internal error: ${message}`);
      return null;
    } finally {
      ended = true;
    }
  }

  #release(permit: HeldPermit): void {
    this.#held.delete(permit);
    void permit.release();
  }
}
