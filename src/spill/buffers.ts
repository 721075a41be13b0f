import type { Clock, Timer } from "../runtime/runtime.ts";
import type { Budget } from "./budget.ts";

/** How long freed buffers are kept, in milliseconds. */
const KEPT_MS = 30_000;

/** A buffer of records; views of it may be in a reader's hands. */
export interface RecordBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Readers that have a batch of it under their eyes. */
  pins: number;
}

/**
 * Freed buffers, for the next segments of the same size: memory that was touched before is filled several times as
 * fast as memory that the kernel has to zero page by page. They stay within the node's limit, but for one.
 */
export class Buffers {
  readonly #kept = new Map<number, Uint8Array<ArrayBuffer>[]>();
  #keptBytes = 0;
  #timer: Timer | null = null;
  #stopped = false;

  constructor(
    private readonly clock: Clock,
    private readonly node: Budget,
  ) {}

  get keptBytes(): number {
    return this.#keptBytes;
  }

  /** A buffer of exactly `size` bytes with anything in it. The budget was asked already. */
  get(size: number): RecordBuffer {
    const bytes = this.#kept.get(size)?.pop();
    if (bytes !== undefined) {
      this.#keptBytes -= size;
      return { bytes, pins: 0 };
    }
    this.#makeRoom();
    return { bytes: new Uint8Array(size), pins: 0 };
  }

  /** After it was given back to the budget. One that somebody reads is left to the garbage collection. */
  put({ bytes, pins }: RecordBuffer): void {
    const size = bytes.length;
    if (pins > 0 || this.#stopped) return;
    // One is kept in any case: of two staging buffers, the one that is written out.
    const fits = this.node.used + this.#keptBytes + size <= this.node.limit;
    if (!fits && this.#keptBytes > 0) return;
    const same = this.#kept.get(size) ?? [];
    same.push(bytes);
    this.#kept.set(size, same);
    this.#keptBytes += size;
    this.#timer?.cancel();
    this.#timer = this.clock.schedule(KEPT_MS, () => this.clear());
  }

  /** Keeps none any more: what is freed from now on leaves no timer. */
  stop(): void {
    this.#stopped = true;
    this.clear();
  }

  clear(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  /** What is kept gives way to what is used. */
  #makeRoom(): void {
    if (this.node.used + this.#keptBytes > this.node.limit) this.clear();
  }
}
