import type { Replies } from "../rpc/port.ts";

type Result = IteratorResult<Uint8Array, undefined>;

/** The replies of a stream that is being opened already; whoever leaves them early ends it. */
export class OpenedLater implements Replies {
  #opened: Replies | null = null;
  #over = false;

  constructor(
    private readonly opening: Promise<Replies>,
    private readonly leave: () => void,
  ) {
    opening.then(
      (replies) => {
        this.#opened = replies;
      },
      () => {}, // thrown to whoever reads
    );
  }

  next(): Promise<Result> {
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    if (this.#opened !== null) return this.#opened.next();
    return this.opening.then(
      (replies) => replies.next(),
      (error) => {
        const thrown = this.#over;
        this.#over = true;
        if (thrown) return { done: true, value: undefined };
        throw error;
      },
    );
  }

  async return(): Promise<Result> {
    this.#over = true;
    this.leave();
    await this.#opened?.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
