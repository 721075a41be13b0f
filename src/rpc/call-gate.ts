import { HedgerowError } from "../errors.ts";

/** Calls that may be under way at once; more are refused with `overloaded`, and nothing of them is done. */
export class CallGate {
  #underWay = 0;

  constructor(private readonly maxCalls: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#enter();
    try {
      return await work();
    } finally {
      this.#underWay--;
    }
  }

  /** The same for replies that come one by one. */
  async *runAll<T>(replies: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    this.#enter();
    try {
      yield* replies();
    } finally {
      this.#underWay--;
    }
  }

  #enter(): void {
    if (this.#underWay >= this.maxCalls) {
      const message = `${this.maxCalls} calls are under way here already: try again later`;
      throw new HedgerowError("overloaded", message);
    }
    this.#underWay++;
  }
}
