import type { SpillBatch } from "./batch.ts";

/** One record at a time: by hand, since a generator of generators takes several times as long. */
export class Records implements AsyncIterableIterator<Uint8Array> {
  #batch: SpillBatch | null = null;
  #next = 0;
  /** Steps to the next batch, and what is asked for meanwhile: each waits for the one before. */
  #waiting = 0;
  #last: Promise<unknown> | null = null;

  constructor(private readonly batches: AsyncIterator<SpillBatch, void>) {}

  next(): Promise<IteratorResult<Uint8Array>> {
    const batch = this.#batch;
    if (this.#last === null && batch !== null && this.#next < batch.length) {
      return Promise.resolve({ done: false, value: batch.at(this.#next++) });
    }
    const step = this.#step(this.#last);
    this.#last = step;
    return step;
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#batch = null;
    await this.batches.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(before: Promise<unknown> | null): Promise<IteratorResult<Uint8Array>> {
    this.#waiting++;
    try {
      if (before !== null) await before.catch(() => {}); // told to who asked for it
      if (this.#batch === null || this.#next === this.#batch.length) {
        const { done, value } = await this.batches.next();
        this.#batch = done ? null : value;
        if (done) return { done: true, value: undefined };
        this.#next = 0;
        return { done: false, value: value.at(this.#next++) };
      }
      return { done: false, value: this.#batch.at(this.#next++) };
    } finally {
      if (--this.#waiting === 0) this.#last = null;
    }
  }
}
