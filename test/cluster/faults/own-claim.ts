// One claim of a client, judged by the client's own clock alone. Imports nothing of src.
import type { Node } from "../processes.ts";
import { holdStream } from "./hold-stream.ts";

/** What is asked for. */
export interface Wanted {
  readonly method: "HoldLock" | "HoldSemaphore";
  readonly request: { readonly name: string };
}

/**
 * A claim, from when its grant was received until the client gives it back, hears of its end, or its lease is
 * over. Assumes what every client must: that a node's message is under way for less than leaders wait beyond
 * the end of a lease, which is 800 ms for a lock with a lease of 2 s, and more for permits.
 */
export class OwnClaim {
  readonly from = performance.now();
  #until: number;

  constructor(
    forMs: number,
    /** Of a lock. */
    readonly token: string,
  ) {
    this.#until = this.from + forMs;
  }

  get until(): number {
    return this.#until;
  }

  get held(): boolean {
    return performance.now() < this.#until;
  }

  /** Once it is over it stays over. */
  prolong(forMs: number): void {
    if (this.held) this.#until = performance.now() + forMs;
  }

  end(): void {
    this.#until = Math.min(this.#until, performance.now());
  }
}

/** Asks `node` for a claim, works while it is held, and gives it back. Throws HoldFailure, and what `work` throws. */
export async function holdOnce(
  node: Node,
  { method, request }: Wanted,
  stopped: AbortSignal,
  onGrant: (claim: OwnClaim) => void,
  work: (claim: OwnClaim) => Promise<void>,
): Promise<void> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, stopped]);
  let claim: OwnClaim | null = null;
  let working: Promise<void> | null = null;
  try {
    for await (const { forMs, token } of holdStream(node, method, request, signal)) {
      if (claim !== null) {
        claim.prolong(forMs);
        continue;
      }
      const granted = new OwnClaim(forMs, token);
      claim = granted;
      onGrant(granted);
      working = work(granted).finally(() => {
        granted.end(); // before anybody else can hear of it
        done.abort();
      });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    claim?.end();
    done.abort();
    await working;
  }
}
