const STEPS_PER_DOUBLING = 64;
const BUCKETS = 40 * STEPS_PER_DOUBLING;
const FINEST_MS = 1e-4;

/** Durations in buckets of about 1 %, from 0.1 us to a day: of fixed size, and addable. */
export class Histogram {
  #counts = new Uint32Array(BUCKETS);

  record(ms: number): void {
    const bucket = Math.floor(Math.log2(Math.max(ms, FINEST_MS) / FINEST_MS) * STEPS_PER_DOUBLING);
    const index = Math.min(bucket, BUCKETS - 1);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
  }

  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** The duration in milliseconds that this share of all (0 to 1) does not exceed; NaN of none. */
  quantile(share: number): number {
    let left = this.count * share;
    for (const [bucket, count] of this.#counts.entries()) {
      left -= count;
      if (count > 0 && left <= 0) return FINEST_MS * 2 ** ((bucket + 0.5) / STEPS_PER_DOUBLING);
    }
    return Number.NaN;
  }

  /** As it travels between processes. */
  toJSON(): number[] {
    return [...this.#counts];
  }

  /** Adds what another process recorded. */
  add(counts: readonly number[]): void {
    for (const [bucket, count] of counts.entries()) {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
    }
  }
}
