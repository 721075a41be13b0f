import type { Budget } from "./budget.ts";
import type { Buffers } from "./buffers.ts";
import type { Catalog, StoredSegment } from "./catalog.ts";
import { type CompleteLimits, MAX_OVERDRAFT_BYTES, STAGING_SEGMENTS } from "./limits.ts";
import { Segment, segmentBytes } from "./segment.ts";

/** A segment that is being filled, or was, and has its last place still to find if it is staged. */
export interface Filling {
  readonly stored: StoredSegment;
  readonly segment: Segment;
  /** It does not stay in memory. */
  readonly staged: boolean;
}

export interface SupplyOptions {
  readonly limits: CompleteLimits;
  readonly memory: Budget;
  readonly buffers: Buffers;
  readonly catalog: Catalog;
}

/** Slots for offsets beyond what the segment before needed. */
const SLOT_MARGIN = 1.05;
/** Of the memory limit, what staging may keep for itself. */
const STAGING_SHARE = 1 / 2;
/** Smaller segments than these shares of the size and of the memory limit are not made of what is left of it. */
const LEAST_SHARE = 1 / 4;
const LEAST_LIMIT_SHARE = 1 / 16;
/** So that what is rounded up fits into what is left. */
const ROUNDING = 0.95;

/** New segments: in memory while its limit has room, then in staging buffers. */
export class Supply {
  #staged = 0;
  #expected = 0;

  constructor(private readonly options: SupplyOptions) {}

  /** With room for such a record; null if too many staging buffers of all stores are in use. May throw `no_space`. */
  next(recordBytes: number): Filling | null {
    return this.#inMemory(recordBytes) ?? this.#inStaging();
  }

  /** The next ones will have about as many records. */
  learn(full: Segment): void {
    this.#expected = Math.ceil(full.count * SLOT_MARGIN);
  }

  /** A staging buffer is free again. */
  unstaged(): void {
    this.#staged--;
  }

  /** Whether memory has room again: then a staging buffer is a segment like others, and another one is staging. */
  stays({ segment }: Filling): boolean {
    const { memory } = this.options;
    const spare = this.#spare(this.#staged - 1, segment.allocated);
    if (memory.exceeded || memory.free < spare) return false;
    this.#staged--;
    return true;
  }

  /** What segments in memory leave to those of so many staging buffers that are not there yet. */
  #spare(staged: number, segment: number): number {
    const share = this.options.memory.most * STAGING_SHARE;
    return Math.min((STAGING_SEGMENTS - staged) * segment, share);
  }

  #inMemory(recordBytes: number): Filling | null {
    const { limits, memory } = this.options;
    const { segmentBytes: size } = limits;
    const whole = segmentBytes(size, this.#expected);
    const spare = this.#spare(this.#staged, whole);
    if (memory.tryTake(whole, spare)) return this.#make(size, this.#expected, false);
    const share = ((memory.free - spare) / whole) * ROUNDING;
    const smaller = Math.floor((size * share) / 8) * 8;
    const expected = Math.ceil(this.#expected * share);
    const least = Math.min(size * LEAST_SHARE, memory.most * LEAST_LIMIT_SHARE);
    if (smaller < Math.max(recordBytes, least)) return null;
    if (!memory.tryTake(segmentBytes(smaller, expected), spare)) return null;
    return this.#make(smaller, expected, false);
  }

  #inStaging(): Filling | null {
    const { limits, memory } = this.options;
    if (memory.overdraft >= MAX_OVERDRAFT_BYTES) return null;
    memory.take(segmentBytes(limits.segmentBytes, this.#expected));
    const made = this.#make(limits.segmentBytes, this.#expected, true); // may throw
    this.#staged++;
    return made;
  }

  #make(size: number, expected: number, staged: boolean): Filling {
    const { buffers, memory, catalog } = this.options;
    const segment = new Segment({ size, expected, buffers, memory, staged });
    return { segment, staged, stored: catalog.add({ tier: "localMemory", segment }) };
  }
}
