import type { Clock } from "../runtime/runtime.ts";

/** Bound of what is remembered: beyond it a duplicate may take a permit, which then ends with its lease. */
const MAX_GRANTS = 20_000;

/** Grants that were given back: a request for one that arrives later is an old one, and must not take a permit. */
export class EndedGrants {
  /** When each ended; oldest first. */
  readonly #ended = new Map<string, number>();

  constructor(
    private readonly clock: Clock,
    private readonly keepMs: number,
  ) {}

  has(grant: string): boolean {
    return this.#ended.has(grant);
  }

  add(grant: string): void {
    const now = this.clock.now();
    this.#ended.delete(grant);
    this.#ended.set(grant, now);
    for (const [oldest, at] of this.#ended) {
      if (this.#ended.size <= MAX_GRANTS && now - at < this.keepMs) break;
      this.#ended.delete(oldest);
    }
  }
}
