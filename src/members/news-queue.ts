interface Entry {
  readonly name: string;
}

/** Entries of the levels that mean nothing any more, before they are swept out. */
const MAX_STALE = 256;

/**
 * Whose statements are still to be passed on: those told least often first, of these the newest first
 * (memberlist's TransmitLimitedQueue). Holds each name once, so that it is bounded by the members.
 */
export class NewsQueue {
  readonly #entries = new Map<string, Entry>();
  /** By how often they were told; the newest last. Entries that #entries does not hold are stale. */
  #levels: Entry[][] = [];

  get size(): number {
    return this.#entries.size;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** There is something new of `name`: it counts as never told. */
  add(name: string): void {
    const entry = { name };
    this.#entries.set(name, entry);
    this.#level(0).push(entry);
    this.#sweep();
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }

  /** The next `max` names, which are now told once more; after `limit` times they are forgotten. */
  take(max: number, limit: number): string[] {
    const names: string[] = [];
    const moves: { readonly to: number; readonly entries: Entry[] }[] = [];
    for (let told = 0; told < this.#levels.length && names.length < max; told++) {
      const level = this.#level(told);
      const taken: Entry[] = [];
      while (level.length > 0 && names.length < max) {
        const entry = level.pop() as Entry;
        if (this.#entries.get(entry.name) !== entry) continue;
        names.push(entry.name);
        if (told + 1 < limit) taken.push(entry);
        else this.#entries.delete(entry.name);
      }
      if (taken.length > 0) moves.push({ to: told + 1, entries: taken.reverse() });
    }
    for (const { to, entries } of moves) this.#level(to).push(...entries);
    return names;
  }

  /** The next `max` names, without counting that they are told. */
  peek(max: number): string[] {
    const names: string[] = [];
    for (const level of this.#levels) {
      for (let i = level.length - 1; i >= 0 && names.length < max; i--) {
        const entry = level[i] as Entry;
        if (this.#entries.get(entry.name) === entry) names.push(entry.name);
      }
    }
    return names;
  }

  #level(told: number): Entry[] {
    while (this.#levels.length <= told) this.#levels.push([]);
    return this.#levels[told] as Entry[];
  }

  #sweep(): void {
    let held = 0;
    for (const level of this.#levels) held += level.length;
    if (held <= 2 * this.#entries.size + MAX_STALE) return;
    this.#levels = this.#levels.map((level) =>
      level.filter((entry) => this.#entries.get(entry.name) === entry),
    );
  }
}
