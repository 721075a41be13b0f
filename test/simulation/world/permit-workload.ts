import type { HeldPermit } from "../../../src/semaphore/held-permit.ts";
import { type ClaimKind, ClaimWorkload, type Taking } from "./claim-workload.ts";
import type { SimulatedCluster } from "./cluster.ts";
import { PermitHolders } from "./permit-holders.ts";

/** The semaphores and their limits. Permits of `lengthy` are held longer than they are without a renewal. */
const SEMAPHORES: Readonly<Record<string, number>> = { narrow: 1, wide: 3, lengthy: 2 };

/** Callers on all nodes that take permits. */
export class PermitWorkload extends ClaimWorkload<HeldPermit> {
  readonly holders: PermitHolders;

  constructor(private readonly simulated: SimulatedCluster) {
    const holders = new PermitHolders(simulated);
    let owners = 0;
    const kind: ClaimKind<HeldPermit> = {
      draw(prng) {
        const name = prng.pick(Object.keys(SEMAPHORES));
        const how = prng.chance(0.3) ? "tryAcquire" : "acquire";
        // Now and then the same owner everywhere.
        const owner = prng.chance(0.2) ? "everybody" : `owner-${owners++}`;
        const holdMs = name === "lengthy" ? prng.between(3_000, 20_000) : prng.between(0, 400);
        return taking(name, how, owner, holdMs);
      },
      last: Object.keys(SEMAPHORES).map((name) => taking(name, "acquire", undefined, 0)),
      took: (node, machine, permit) =>
        holders.add(node, machine, permit, SEMAPHORES[permit.semaphore] ?? 0),
    };
    super(simulated, kind);
    this.holders = holders;
  }

  /** Permits that lie in the table though nobody uses them; to be asked when all have been given back. */
  async leaks(): Promise<string[]> {
    const leaks: string[] = [];
    for (const name of Object.keys(SEMAPHORES)) {
      const rows = await this.simulated.database.connect().semaphores?.read(name);
      for (const { owner, holder } of rows?.permits ?? []) {
        leaks.push(`a permit of ${name} is left to ${owner} at ${holder}`);
      }
    }
    return leaks;
  }
}

function taking(
  name: string,
  how: "acquire" | "tryAcquire",
  owner: string | undefined,
  holdMs: number,
): Taking<HeldPermit> {
  const limit = SEMAPHORES[name] ?? 0;
  return {
    what: `${how} of ${name}`,
    holdMs,
    take: ({ semaphores }, timeoutMs) =>
      semaphores.semaphore(name, limit)[how]({
        ...(owner !== undefined && { owner }),
        ...(timeoutMs !== undefined && { timeoutMs }),
      }),
  };
}
