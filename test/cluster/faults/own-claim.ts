// One claim of a client, judged by the client's own clock alone. Imports nothing of src.
import type { Node } from "../processes.ts";
import { holdStream } from "./hold-stream.ts";

/** What is asked for. */
export interface Wanted {
  readonly method: "HoldLock" | "HoldSemaphore";
  readonly request: { readonly name: string };
}

/** A node that does not answer a sign of life in so many milliseconds is asked again. */
const SIGN_TIMEOUT_MS = 400;
const SIGN_EVERY_MS = 300;

/**
 * A claim, from when the node has confirmed it until the client gives it back, hears of its end, or its lease is over.
 * What the node says counts from when it was asked.
 */
export class OwnClaim {
  readonly from = performance.now();

  constructor(
    private deadline: number,
    /** Of a lock. */
    readonly token: string,
  ) {}

  get until(): number {
    return this.deadline;
  }

  get held(): boolean {
    return performance.now() < this.deadline;
  }

  /** Once it is over it stays over. */
  prolong(deadline: number): void {
    if (this.held) this.deadline = Math.max(this.deadline, deadline);
  }

  end(): void {
    this.deadline = Math.min(this.deadline, performance.now());
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
  const hold = crypto.randomUUID();
  let claim: OwnClaim | null = null;
  let working: Promise<void> | null = null;
  const begin = async (token: string) => {
    try {
      const deadline = await signOfLife(node, hold);
      if (deadline === null || performance.now() >= deadline || signal.aborted) return;
      claim = new OwnClaim(deadline, token);
      onGrant(claim);
      void keep(node, hold, claim, signal);
      await work(claim);
    } finally {
      claim?.end(); // before anybody else can hear of it
      done.abort();
    }
  };
  try {
    for await (const { token } of holdStream(node, method, { ...request, hold }, signal)) {
      working ??= begin(token);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    (claim as OwnClaim | null)?.end();
    done.abort();
    await working;
  }
}

async function keep(node: Node, hold: string, claim: OwnClaim, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && claim.held) {
    await Bun.sleep(SIGN_EVERY_MS);
    claim.prolong((await signOfLife(node, hold)) ?? 0);
  }
}

/** Until when the claim is held, by the client's clock; null if the node does not say. */
async function signOfLife(node: Node, hold: string): Promise<number | null> {
  const sentAt = performance.now();
  const answer = await node.call<{ lease?: string }>("KeepHold", { hold }, SIGN_TIMEOUT_MS);
  return answer.ok ? sentAt + Number.parseFloat(answer.value.lease ?? "0s") * 1e3 : null;
}
