/** How many values were at most as large as each of some bounds, and the sum of all. */
export class Histogram {
  sum = 0;
  /** By the first bound that the value does not exceed; the last is of those over all bounds. */
  readonly counts: Float64Array;

  /** `bounds` rise. */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    let index = 0;
    while (value > (this.bounds[index] ?? Infinity)) index++;
    (this.counts[index] as number)++;
    this.sum += value;
  }
}
