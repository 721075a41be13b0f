import type { Trim } from "../store/ports.ts";

interface Known {
  /** When its newest version was known, on the own clock in milliseconds. */
  readonly since: number;
  /** The time of that version, microseconds since the epoch. */
  readonly newest: number;
  /** The time of the newest since then. */
  latest: number;
}

/**
 * Keys whose old versions may be removed once their newest has been known for a while by the own clock: all
 * before that one are then surely that old, whatever wall clocks say.
 */
export class DueKeys {
  /** In the order of `since`. */
  readonly #known = new Map<string, Known>();

  constructor(
    private readonly delayMs: number,
    private readonly maxKeys: number,
  ) {}

  get room(): number {
    return this.maxKeys - this.#known.size;
  }

  /** Notes that a key has a version of this time; false where there is no room. */
  note(key: string, timestamp: number, now: number): boolean {
    const known = this.#known.get(key);
    if (known !== undefined) {
      known.latest = Math.max(known.latest, timestamp);
      return true;
    }
    if (this.room <= 0) return false;
    this.#known.set(key, { since: now, newest: timestamp, latest: timestamp });
    return true;
  }

  /** Takes at most `count` keys of which it has been long enough. One that was written since comes again. */
  take(now: number, count: number): Trim[] {
    const taken: Trim[] = [];
    for (const [key, { since, newest, latest }] of this.#known) {
      if (taken.length === count || now - since < this.delayMs) break;
      taken.push({ key, before: newest });
      this.#known.delete(key);
      if (latest > newest) this.note(key, latest, now);
    }
    return taken;
  }

  clear(): void {
    this.#known.clear();
  }
}
