/** What a test has done, added up over its clusters and printed at its end. */
export class Figures {
  readonly #sums = new Map<string, number>();

  add(figures: Readonly<Record<string, number>>): void {
    for (const [what, count] of Object.entries(figures)) {
      this.#sums.set(what, (this.#sums.get(what) ?? 0) + count);
    }
  }

  /** Keeps the greatest. */
  worst(what: string, value: number): void {
    this.#sums.set(what, Math.max(this.#sums.get(what) ?? 0, Math.round(value)));
  }

  print(name: string): void {
    const counts = [...this.#sums].map(([what, count]) => `${count} ${what}`);
    console.log(`${name}: ${counts.join(", ")}`);
  }
}
