import type { LeaderHint } from "../errors.ts";

/**
 * Who leads, as far as this node has heard: from the lock's row, from gossip, from other nodes' errors and
 * from itself. So a send or a put asks no database for its leader. The greater token is always newer.
 */
export class LeaderDirectory {
  #known: LeaderHint | null = null;
  readonly #listeners = new Set<() => void>();

  /** The leader, or null while none is known or the last one has given its token up. */
  get leader(): LeaderHint | null {
    return this.#known?.released === false ? this.#known : null;
  }

  /** The newest hint, released or not: what gossip passes on. */
  get newest(): LeaderHint | null {
    return this.#known;
  }

  /** Takes a hint in if it is news; tells whether it was. */
  learn(hint: LeaderHint | null | undefined): boolean {
    if (hint === null || hint === undefined || hint.token <= 0) return false;
    const known = this.#known;
    const newer = known === null || hint.token > known.token;
    const releasedNow =
      known !== null && hint.token === known.token && hint.released && !known.released;
    if (!newer && !releasedNow) return false;
    this.#known = hint;
    for (const listener of [...this.#listeners]) listener();
    return true;
  }

  /** Calls `listener` at each change; the result ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
