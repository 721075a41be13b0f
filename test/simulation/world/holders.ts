import type { HeldLock } from "../../../src/lock/named/held-lock.ts";
import type { SimulatedCluster } from "./cluster.ts";
import type { Machine } from "./machine.ts";

interface Holder {
  readonly node: string;
  readonly machine: Machine;
  readonly held: HeldLock;
}

/** Who holds which lock, by their own belief: at no moment may two hold the same one. */
export class Holders {
  readonly violations: string[] = [];
  readonly #holders = new Map<string, Holder[]>();
  readonly #told = new Set<string>();

  constructor(private readonly cluster: SimulatedCluster) {}

  /** From now on until it is released, lost, or its process is gone. */
  add(node: string, machine: Machine, held: HeldLock): void {
    const holders = this.#holders.get(held.name) ?? [];
    this.#holders.set(held.name, holders);
    holders.push({ node, machine, held });
    this.check();
  }

  /** Asked after every event. */
  check(): void {
    for (const [name, holders] of this.#holders) {
      if (holders.length === 0) continue;
      const believing = holders.filter(({ machine, held }) => machine.alive && held.heldForMs > 0);
      this.#holders.set(name, believing);
      if (believing.length < 2) continue;
      const names = believing.map(({ node, held }) => `${node} (${held.token})`).join(" and ");
      if (this.#told.has(names) || this.violations.length >= 10) continue;
      this.#told.add(names);
      const at = this.cluster.scheduler.now.toFixed(1);
      this.violations.push(`${at}: ${names} hold ${name} at once`);
    }
  }
}
