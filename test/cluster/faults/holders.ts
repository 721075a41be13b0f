import { type Node, until } from "../processes.ts";
import { type Claim, overAdmissions } from "./claims.ts";
import { HoldFailure } from "./hold-stream.ts";
import { holdOnce, type OwnClaim, type Wanted } from "./own-claim.ts";
import type { Recorder } from "./recorder.ts";

/** Semaphores by their limits. */
const LIMITS = [2, 3];
/** For each of them, and for the lock. */
const HOLDERS_PER_NODE = 2;
const LOCK_LEASE_MS = 2_000;
export const LOCK = "guard";
/** Of a key that the lock guards; then another one is guarded. */
const CALLS_PER_KEY = 250;
const LOOK_EVERY_MS = 20;
const AFTER_FAILURE_MS = 100;
/** Errors that no fault excuses. */
const DEFECTS: ReadonlySet<string> = new Set(["internal", "invalid_argument", "already_held"]);

export interface HoldersOptions {
  /** How long the next claim is used, in milliseconds, if it is not lost before. */
  readonly usePermitMs: () => number;
  readonly useLockMs: () => number;
  /** Between two writes under the lock. */
  readonly pauseMs: number;
  /** Whether writes under the lock carry its token, so that the store refuses those of former holders. */
  readonly fenced: boolean;
}

/**
 * Clients of each node that hold permits of semaphores, and a lock under which they read a key and then write
 * to it what is to follow what they read: nobody else may have written between.
 */
export class Holders {
  readonly defects: string[] = [];
  /** Writes under the lock so far. */
  guardedWrites = 0;
  /** Whether nobody asks for the lock for now. */
  lockRests = false;
  readonly #claims: { readonly name: string; readonly limit: number; readonly own: OwnClaim }[] =
    [];
  readonly #stopped = new AbortController();
  readonly #holders: Promise<void>[] = [];
  #guarded = 0;
  #generation = 0;

  constructor(
    private readonly recorder: Recorder,
    private readonly options: HoldersOptions,
  ) {}

  /** Clients of these nodes ask from now on. */
  begin(nodes: readonly Node[]): void {
    for (const node of nodes) {
      for (let i = 0; i < HOLDERS_PER_NODE; i++) {
        for (const limit of LIMITS) this.#holders.push(this.#holdPermits(node, limit));
        this.#holders.push(this.#holdLock(node));
      }
    }
  }

  /** From now on others are used. Permits that were held at a node that died are free only after their lease. */
  renewSemaphores(): void {
    this.#generation++;
  }

  /** Of the semaphores now in use. */
  get semaphores(): string[] {
    return LIMITS.map((limit) => this.#semaphore(limit));
  }

  /** Waits until each of these is granted once more. */
  async given(names: readonly string[], withinMs: number): Promise<void> {
    const before = this.#claims.length;
    await until(`${names} are granted`, withinMs, () => {
      const granted = new Set(this.#claims.slice(before).map((claim) => claim.name));
      return names.every((each) => granted.has(each));
    });
  }

  /** Grants so far, of permits and of the lock. */
  get grants(): number {
    return this.#claims.length;
  }

  /** Gives everything back. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#holders);
  }

  /** What was wrong until now. */
  violations(): string[] {
    const claims = this.#claims.map(({ name, limit, own: { from, until } }): Claim => {
      return { name, limit, from, until: Math.min(until, performance.now()) };
    });
    return [...this.defects, ...overAdmissions(claims)];
  }

  #semaphore(limit: number): string {
    return `semaphore-${limit}-${this.#generation}`;
  }

  #holdPermits(node: Node, limit: number): Promise<void> {
    const wanted = (): Wanted => {
      const request = { name: this.#semaphore(limit), limit, wait: "3s" };
      return { method: "HoldSemaphore", request };
    };
    return this.#hold(node, limit, wanted, async (claim) => {
      const over = performance.now() + this.options.usePermitMs();
      while (claim.held && performance.now() < over) await Bun.sleep(LOOK_EVERY_MS);
    });
  }

  #holdLock(node: Node): Promise<void> {
    const request = { name: LOCK, leaseMs: LOCK_LEASE_MS, wait: "3s" };
    return this.#hold(
      node,
      1,
      () => ({ method: "HoldLock", request }),
      async (claim) => {
        const over = performance.now() + this.options.useLockMs();
        while (claim.held && performance.now() < over && (await this.#writeGuarded(node, claim))) {
          await Bun.sleep(LOOK_EVERY_MS);
        }
      },
    );
  }

  /**
   * Whether it was written. If not, the claim is not used any more: a write of unknown outcome may be under
   * way still, and only the next holder's token refuses it.
   */
  async #writeGuarded(node: Node, claim: OwnClaim): Promise<boolean> {
    const { recorder } = this;
    if (recorder.calls(`guarded-${this.#guarded}`) >= CALLS_PER_KEY) this.#guarded++;
    const key = `guarded-${this.#guarded}`;
    const ids = await recorder.get(node, key, 0);
    if (ids === null || !claim.held) return false;
    const fence = { name: LOCK, token: claim.token };
    const put = { key, follows: ids[0] ?? "", ...(this.options.fenced && { fence }) };
    const { kind } = await recorder.put(node, put);
    if (kind === "written") this.guardedWrites++;
    return kind === "written";
  }

  async #hold(
    node: Node,
    limit: number,
    next: () => Wanted,
    work: (claim: OwnClaim) => Promise<void>,
  ): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const wanted = next();
      const { name } = wanted.request;
      if (name === LOCK && this.lockRests) {
        await Bun.sleep(AFTER_FAILURE_MS);
        continue;
      }
      const granted = (own: OwnClaim) => void this.#claims.push({ name, limit, own });
      try {
        await holdOnce(node, wanted, signal, granted, work);
      } catch (error) {
        // Refused, lost, or the node is gone: it is asked again.
        if (error instanceof HoldFailure && DEFECTS.has(error.code)) {
          this.defects.push(`${name}: ${error.code}: ${error.message}`);
        }
        await Bun.sleep(AFTER_FAILURE_MS);
      }
    }
  }
}
