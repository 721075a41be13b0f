import type { Clock, Timer } from "../runtime/runtime.ts";
import type { Budget } from "./budget.ts";
import { MAX_PLACING, MAX_SEGMENT_BYTES } from "./limits.ts";

/** How long freed buffers are kept, in milliseconds. */
const KEPT_MS = 30_000;

/** Kept in any case: as much as a store's staging buffers that are written out, with their offsets. */
const STAGING_BYTES = (MAX_PLACING + 0.5) * MAX_SEGMENT_BYTES;

/** A buffer of records; views of it may be in a reader's hands. */
export interface RecordBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Readers that have a batch of it under their eyes. */
  pins: number;
}

interface Kept {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sinceMs: number;
}

/**
 * Size of the buffer for so many bytes: a sixteenth more at the most, so that what is of about one size uses each
 * other's buffers.
 */
export function bufferBytes(bytes: number): number {
  const step = 2 ** Math.max(6, Math.floor(Math.log2(bytes)) - 4);
  return Math.ceil(bytes / step) * step;
}

/**
 * Freed buffers, for the next ones of the same size: memory that was touched before is filled several times as
 * fast as memory that the kernel has to zero page by page. They stay within the node's limit, but for a few.
 */
export class Buffers {
  /** By size; of one size the oldest first. None is empty. */
  readonly #kept = new Map<number, Kept[]>();
  #keptBytes = 0;
  /** Until the oldest one goes; null while none is kept. */
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
    const same = this.#kept.get(size);
    const kept = same?.pop();
    if (same !== undefined && kept !== undefined) {
      this.#removed(size, same);
      return { bytes: kept.bytes, pins: 0 };
    }
    this.#makeRoom();
    return { bytes: new Uint8Array(size), pins: 0 };
  }

  /** After it was given back to the budget. One that somebody reads is left to the garbage collection. */
  put({ bytes, pins }: RecordBuffer): void {
    const size = bytes.length;
    if (pins > 0 || this.#stopped) return;
    const fits = this.node.used + this.#keptBytes + size <= this.node.limit;
    if (!fits && this.#keptBytes + size > STAGING_BYTES) return;
    const same = this.#kept.get(size) ?? [];
    same.push({ bytes, sinceMs: this.clock.now() });
    this.#kept.set(size, same);
    this.#keptBytes += size;
    this.#timer ??= this.clock.schedule(KEPT_MS, this.#expire);
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
    while (this.node.used + this.#keptBytes > this.node.limit) {
      const oldest = this.#oldest();
      if (oldest === undefined) return;
      this.#drop(oldest);
    }
  }

  readonly #expire = (): void => {
    this.#timer = null;
    for (let oldest = this.#oldest(); oldest !== undefined; oldest = this.#oldest()) {
      const leftMs = oldest.sinceMs + KEPT_MS - this.clock.now();
      if (leftMs > 0) {
        this.#timer = this.clock.schedule(leftMs, this.#expire);
        return;
      }
      this.#drop(oldest);
    }
  };

  #oldest(): Kept | undefined {
    let oldest: Kept | undefined;
    for (const [first] of this.#kept.values()) {
      if (oldest === undefined || (first as Kept).sinceMs < oldest.sinceMs) oldest = first;
    }
    return oldest;
  }

  #drop({ bytes }: Kept): void {
    const same = this.#kept.get(bytes.length) as Kept[];
    same.shift();
    this.#removed(bytes.length, same);
  }

  #removed(size: number, same: readonly Kept[]): void {
    this.#keptBytes -= size;
    if (same.length === 0) this.#kept.delete(size);
    if (this.#kept.size === 0) this.clear();
  }
}
