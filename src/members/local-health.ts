/**
 * How far a node trusts its own judgement (Lifeguard's local health multiplier): 0 is well. A node that does not
 * hear from others, or that others do not hear from, may itself be what is slow; it then asks more slowly and
 * waits longer before it suspects anybody.
 */
export class LocalHealth {
  #score = 0;

  constructor(private readonly max: number) {}

  get score(): number {
    return this.#score;
  }

  /** What intervals and time-outs are multiplied by. */
  get factor(): number {
    return this.#score + 1;
  }

  improve(): void {
    this.#score = Math.max(0, this.#score - 1);
  }

  worsen(by: number): void {
    this.#score = Math.min(this.max, this.#score + by);
  }
}
