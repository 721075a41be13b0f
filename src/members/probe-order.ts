import type { Random } from "../runtime/runtime.ts";

/** Round-robin over names, reshuffled after each round: nobody waits longer than two rounds. */
export class ProbeOrder {
  #order: string[] = [];
  #next = 0;

  constructor(private readonly random: Random) {}

  /** The next of `names`, or null if there is none. */
  next(names: ReadonlySet<string>): string | null {
    for (let tries = this.#order.length + 1; tries > 0; tries--) {
      if (this.#next >= this.#order.length) {
        this.#order = shuffled([...names], this.random);
        this.#next = 0;
      }
      const name = this.#order[this.#next++];
      if (name === undefined) return null;
      if (names.has(name)) return name;
    }
    return null;
  }
}

/** A new array in random order (Fisher-Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}
