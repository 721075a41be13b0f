/**
 * How far a node trusts its own judgement (Lifeguard's local health multiplier): 0 is well. A node that does not
 * hear from others, or that others do not hear from, may itself be what is slow; it then waits longer for answers
 * before it suspects anybody.
 */
export class LocalHealth {
  #score = 0;

  constructor(private readonly max: number) {}

  get score(): number {
    return this.#score;
  }

  /** What time-outs are multiplied by. */
  get factor(): number {
    return this.#score + 1;
  }

  /** Halved, not one less as in Lifeguard: who was cut off must soon be fit to see that somebody else is. */
  improve(): void {
    this.#score >>= 1;
  }

  worsen(by: number): void {
    this.#score = Math.min(this.max, this.#score + by);
  }
}
