import type { HeldPermit } from "../../../src/semaphore/held-permit.ts";
import type { SimulatedCluster } from "./cluster.ts";
import type { Machine } from "./machine.ts";

interface Holder {
  readonly node: string;
  readonly machine: Machine;
  readonly permit: HeldPermit;
}

/** Who holds permits of which semaphore, by their own belief: at no moment may more than its limit do. */
export class PermitHolders {
  readonly violations: string[] = [];
  readonly #holders = new Map<string, { readonly limit: number; believing: Holder[] }>();
  readonly #told = new Set<string>();

  constructor(private readonly cluster: SimulatedCluster) {}

  /** From now on until it is released, lost, or its process is gone. */
  add(node: string, machine: Machine, permit: HeldPermit, limit: number): void {
    const holders = this.#holders.get(permit.semaphore);
    // Nobody holds a permit by another limit any more when one is taken by this.
    const others = holders?.limit === limit ? holders.believing : [];
    if (
      holders !== undefined &&
      holders.limit !== limit &&
      stillHeld(holders.believing).length > 0
    ) {
      this.#tell(`${permit.semaphore}: held with the limits ${holders.limit} and ${limit}`);
    }
    this.#holders.set(permit.semaphore, {
      limit,
      believing: [...others, { node, machine, permit }],
    });
    this.check();
  }

  /** Asked after every event. */
  check(): void {
    for (const [name, holders] of this.#holders) {
      if (holders.believing.length === 0) continue;
      holders.believing = stillHeld(holders.believing);
      if (holders.believing.length <= holders.limit) continue;
      const names = holders.believing.map(({ node, permit }) => `${node} (${permit.owner})`);
      this.#tell(`${names.join(" and ")} hold ${name} at once, of ${holders.limit}`);
    }
  }

  #tell(what: string): void {
    if (this.#told.has(what) || this.violations.length >= 10) return;
    this.#told.add(what);
    this.violations.push(`${this.cluster.scheduler.now.toFixed(1)}: ${what}`);
  }
}

function stillHeld(holders: readonly Holder[]): Holder[] {
  return holders.filter(({ machine, permit }) => machine.alive && permit.held);
}
