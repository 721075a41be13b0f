import type { Clock } from "../runtime/runtime.ts";

/** Enough to fill a write; a larger message goes by itself. */
const CHUNK_BYTES = 16 * 1024;

/** What makes the answer. */
export interface AnswerSource {
  /** The next bytes, null after the last ones. Never throws. */
  next(): Promise<Uint8Array | null>;
  /** Nobody reads what is left. */
  leave(): void;
}

/**
 * Bytes as the body of an answer, taken from their source when the connection has room. What becomes ready in one turn
 * of the event loop goes as one chunk: each costs as much as many small messages. The source is asked for one piece
 * ahead at the most.
 */
export class BatchedAnswer {
  readonly body: ReadableStream<Uint8Array>;
  /** Once there is something to send, or that is all. */
  readonly begun: Promise<void>;
  readonly #begin = Promise.withResolvers<void>();
  #hasBegun = false;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #asking = false;
  #over = false;
  /** Of the connection, which waits for bytes. */
  #give: ((chunk: Uint8Array | null) => void) | null = null;
  #flushing = false;

  constructor(
    private readonly source: AnswerSource,
    private readonly clock: Clock,
  ) {
    this.begun = this.#begin.promise;
    this.body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          this.#over = true;
          this.#pieces = [];
          this.source.leave();
        },
      },
      { highWaterMark: 0 },
    );
    void this.#ask();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const chunk = await new Promise<Uint8Array | null>((resolve) => {
      this.#give = resolve;
      if (this.#over || this.#bytes >= CHUNK_BYTES) return this.#flush();
      if (this.#bytes > 0) this.#flushSoon();
      if (!this.#asking) void this.#ask();
    });
    if (chunk !== null) controller.enqueue(chunk);
    if (this.#over && this.#bytes === 0) controller.close();
  }

  /** While the connection waits. The first piece is asked for before that. */
  async #ask(): Promise<void> {
    this.#asking = true;
    do {
      const piece = await this.source.next();
      if (piece === null) this.#over = true;
      else this.#add(piece);
      if (!this.#hasBegun) {
        this.#hasBegun = true;
        this.#begin.resolve();
      }
      if (this.#over || this.#bytes >= CHUNK_BYTES) this.#flush();
      else this.#flushSoon();
    } while (this.#give !== null && !this.#over);
    this.#asking = false;
  }

  #add(piece: Uint8Array): void {
    if (this.#over) return; // it was left
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  #flushSoon(): void {
    if (this.#flushing || this.#give === null) return;
    this.#flushing = true;
    this.clock.schedule(0, () => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const give = this.#give;
    if (give === null) return;
    const pieces = this.#pieces;
    if (pieces.length === 0 && !this.#over) return;
    this.#give = null;
    this.#pieces = [];
    this.#bytes = 0;
    if (pieces.length === 0) give(null);
    else give(pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces));
  }
}
