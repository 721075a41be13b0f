import type { HeldLock } from "../../../src/lock/named/held-lock.ts";
import { type ClaimKind, ClaimWorkload, type Taking } from "./claim-workload.ts";
import type { SimulatedCluster } from "./cluster.ts";
import { Holders } from "./holders.ts";

/** The locks and their leases, in milliseconds. */
const LOCKS: Readonly<Record<string, number>> = { short: 1_000, long: 3_000 };

/** Callers on all nodes that take locks. */
export class LockWorkload extends ClaimWorkload<HeldLock> {
  readonly holders: Holders;

  constructor(cluster: SimulatedCluster) {
    const holders = new Holders(cluster);
    const kind: ClaimKind<HeldLock> = {
      draw(prng) {
        const name = prng.pick(Object.keys(LOCKS));
        const how = prng.chance(0.3) ? "tryAcquire" : "acquire";
        // Now and then longer than its lease.
        const holdMs = prng.chance(0.1) ? prng.between(3_000, 8_000) : prng.between(0, 400);
        return taking(name, how, holdMs);
      },
      last: Object.keys(LOCKS).map((name) => taking(name, "acquire", 0)),
      took: (...held) => holders.add(...held),
    };
    super(cluster, kind);
    this.holders = holders;
  }
}

function taking(name: string, how: "acquire" | "tryAcquire", holdMs: number): Taking<HeldLock> {
  return {
    what: how,
    holdMs,
    take: ({ locks }, timeoutMs) =>
      locks.lock(name, { leaseMs: LOCKS[name] })[how](timeoutMs === undefined ? {} : { timeoutMs }),
  };
}
