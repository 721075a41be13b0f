import type { Looking } from "./loader.ts";
import type { References } from "./references.ts";

/** An iteration's reference, from its first step to its end, and what ends what is fetched for it. */
export class Use {
  /** Aborts when the iteration is left, too. */
  readonly signal: AbortSignal;
  readonly #left = new AbortController();
  #release = () => {};
  #looking: Looking | null = null;

  constructor(
    private readonly references: References,
    signals: readonly AbortSignal[],
  ) {
    this.signal = AbortSignal.any([this.#left.signal, ...signals]);
  }

  /** Whether nobody wants another step. */
  get left(): boolean {
    return this.#left.signal.aborted;
  }

  begin(): void {
    this.#release = this.references.take();
  }

  leave(): void {
    this.#left.abort();
  }

  /** Until `lookAway`, or its end. */
  lookAt(looking: Looking): void {
    this.#looking = looking;
  }

  lookAway(): void {
    this.#looking?.release();
    this.#looking = null;
  }

  end(): void {
    this.leave();
    this.#looking?.leave();
    this.#looking = null;
    this.#release();
  }
}

/** A generator that is left at once: by itself it would first await the step that is under way. */
export class Iteration<T> implements AsyncIterableIterator<T> {
  constructor(
    private readonly steps: AsyncGenerator<T, void>,
    private readonly use: Use,
  ) {}

  /** Refers to `this` behind the step: whoever waits for that, and has nothing else of the iteration, has not dropped it. */
  async next(): Promise<IteratorResult<T, void>> {
    const step = await this.steps.next();
    if (step.done === true) this.use.end();
    return step;
  }

  return(): Promise<IteratorResult<T, void>> {
    this.use.leave();
    return this.steps.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
