import { type Random, ulid } from "../../../src/runtime/runtime.ts";

/** Seeded randomness (mulberry32 over a splitmix-like mixed seed): equal seeds, equal worlds. */
export class Prng implements Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = mix(seed);
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  id(): string {
    return ulid(0, () => this.int(32));
  }

  int(below: number): number {
    return Math.floor(this.next() * below);
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }

  /** A generator of its own, so that one use does not disturb another. */
  fork(): Prng {
    return new Prng(this.int(2 ** 32));
  }
}

function mix(seed: number): number {
  let x = (seed ^ 0x9e3779b9) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}
