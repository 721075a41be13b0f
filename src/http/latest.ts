/** The newest of values that may come faster than they are taken: what has passed meanwhile is dropped. */
export class Latest<T> {
  #value: { readonly value: T } | null = null;
  #wake: () => void = () => {};

  /** `signal` ends whoever waits. */
  constructor(private readonly signal: AbortSignal) {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
  }

  set(value: T): void {
    this.#value = { value };
    this.#wake();
  }

  /** The newest value, once there is one that was not taken before; undefined once the signal has aborted. */
  async next(): Promise<T | undefined> {
    if (this.#value === null && !this.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.signal.aborted) return undefined;
    const value = this.#value?.value;
    this.#value = null;
    return value;
  }
}
