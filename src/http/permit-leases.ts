import { HedgerowError } from "../errors.ts";
import type { HedgerowNode, HeldPermit } from "../node/api.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions, Clock, Timer } from "../runtime/runtime.ts";

/** The longest lease of a caller that says nothing more, in milliseconds. */
const MAX_LEASE_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 10_000;

interface Lease {
  readonly permit: HeldPermit;
  readonly limit: number;
  end: Timer;
}

export interface LeaseRequest {
  readonly name: string;
  readonly limit: number;
  /** Names the permit: the same owner again prolongs it. */
  readonly owner: string;
  /** Milliseconds; 0: not at all; undefined: until the call's deadline. */
  readonly waitMs: number | undefined;
}

/**
 * Permits of callers that cannot hold a stream. A caller's lease ends before its permit could be lost: if it
 * prolongs it in time, it has held it all the while.
 */
export class PermitLeases {
  readonly #leases = new Map<string, Lease>();
  /** Acquisitions under way. */
  readonly #acquiring = new Map<string, Promise<unknown>>();

  constructor(
    private readonly node: HedgerowNode,
    private readonly clock: Clock,
  ) {}

  /** Gives the lease in milliseconds from now. */
  async acquire(request: LeaseRequest, call: CallOptions): Promise<number> {
    const key = keyOf(request.name, request.owner);
    using operation = new Operation(this.clock, "acquire", call, DEFAULT_TIMEOUT_MS);
    // The same again, before the first was answered: it finds what came of that.
    for (;;) {
      const earlier = this.#acquiring.get(key);
      if (earlier === undefined) break;
      await operation.race(earlier);
    }
    const present = this.#leases.get(key);
    if (present !== undefined && present.permit.heldForMs >= 1) {
      if (present.limit === request.limit) return this.#prolong(key, present);
      const message = `semaphore already exists with a different limit: ${request.name} has ${present.limit}: use that, or another name`;
      throw new HedgerowError("other_limit", message);
    }
    const acquired = this.#take(key, request, {
      timeoutMs: operation.remainingMs(),
      signal: call.signal,
    });
    const ended = acquired.then(
      () => this.#acquiring.delete(key),
      () => this.#acquiring.delete(key),
    );
    this.#acquiring.set(key, ended);
    return await acquired;
  }

  /** False if the owner has no such lease at this node. */
  async release(name: string, owner: string): Promise<boolean> {
    const key = keyOf(name, owner);
    const lease = this.#leases.get(key);
    if (lease === undefined) return false;
    this.#drop(key, lease);
    await lease.permit.release();
    return true;
  }

  async #take(key: string, request: LeaseRequest, call: CallOptions): Promise<number> {
    const { name, limit, owner, waitMs = Infinity } = request;
    const semaphore = this.node.semaphore(name, limit);
    const timeoutMs = Math.min(call.timeoutMs ?? DEFAULT_TIMEOUT_MS, waitMs);
    const options = { owner, signal: call.signal, detached: true };
    const permit =
      waitMs <= 0
        ? await semaphore.tryAcquire({ ...options, timeoutMs: call.timeoutMs })
        : await semaphore.acquire({ ...options, timeoutMs });
    const lease: Lease = { permit, limit, end: { cancel() {} } };
    this.#leases.set(key, lease);
    permit.signal.addEventListener("abort", () => this.#drop(key, lease), { once: true });
    return this.#prolong(key, lease);
  }

  #prolong(key: string, lease: Lease): number {
    const leaseMs = Math.floor(Math.min(MAX_LEASE_MS, lease.permit.heldForMs));
    lease.end.cancel();
    lease.end = this.clock.schedule(leaseMs, () => {
      this.#drop(key, lease);
      void lease.permit.release();
    });
    return leaseMs;
  }

  #drop(key: string, lease: Lease): void {
    lease.end.cancel();
    if (this.#leases.get(key) === lease) this.#leases.delete(key);
  }
}

/** Names of semaphores have no whitespace. */
function keyOf(name: string, owner: string): string {
  return `${name} ${owner}`;
}
