import type { Budget } from "./budget.ts";
import type { Buffers, RecordBuffer } from "./buffers.ts";
import type { Columns } from "./batch.ts";

/** Offsets that a segment begins with at the least. */
const MIN_SLOTS = 64;
/** Bytes of a record, as long as nothing is known of them. */
const RECORD_BYTES = 256;
const OFFSET_BYTES = Int32Array.BYTES_PER_ELEMENT;

export interface SegmentOptions {
  /** Bytes of values. */
  readonly size: number;
  /** How many records to be ready for, 0 if that is not known; more grow it. */
  readonly expected: number;
  readonly buffers: Buffers;
  readonly memory: Budget;
  /** It may take more memory for offsets than the limit has left. */
  readonly mayExceed: boolean;
}

/** What a segment takes of the budget before its first record. */
export function segmentBytes(size: number, expected: number): number {
  return size + slotsFor(size, expected) * OFFSET_BYTES;
}

/** Records in memory, in the layout of an Arrow Binary column: values, and offsets into them. */
export class Segment implements Columns {
  count = 0;
  /** Bytes of values. */
  end = 0;
  offsets: Int32Array<ArrayBuffer>;
  readonly values: Uint8Array<ArrayBuffer>;
  readonly #buffer: RecordBuffer;
  readonly #maxSlots: number;
  #freed = false;

  /** The caller has taken `segmentBytes` of the budget; `free` gives all back. */
  constructor(private readonly options: SegmentOptions) {
    const { size, expected, buffers } = options;
    this.#buffer = buffers.get(size);
    this.values = this.#buffer.bytes;
    this.offsets = new Int32Array(slotsFor(size, expected));
    this.#maxSlots = maxSlots(size);
  }

  /** False if it has no room: then nothing has changed. */
  append(record: Uint8Array): boolean {
    const { values, offsets, end: start } = this;
    const end = start + record.length;
    const next = this.count + 1;
    if (end > values.length || next >= offsets.length) return this.#appendGrown(record);
    values.set(record, start);
    offsets[next] = end;
    this.count = next;
    this.end = end;
    return true;
  }

  /** Where it does not fit as things are: apart, so that what fits is a short way. */
  #appendGrown(record: Uint8Array): boolean {
    if (this.end + record.length > this.values.length) return false;
    return this.count + 1 === this.offsets.length && this.#grow() && this.append(record);
  }

  /** Bytes taken of the budget. */
  get allocated(): number {
    return this.values.length + this.offsets.byteLength;
  }

  /** As long as a reader looks at it, its buffer is used for nothing else. */
  pin(): void {
    this.#buffer.pins++;
  }

  unpin(): void {
    this.#buffer.pins--;
  }

  /** Gives its memory back. Idempotent. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.options.memory.give(this.allocated);
    this.options.buffers.put(this.#buffer);
  }

  #grow(): boolean {
    const slots = Math.min(this.#maxSlots, this.offsets.length * 2);
    const bytes = (slots - this.offsets.length) * OFFSET_BYTES;
    const { memory, mayExceed } = this.options;
    if (bytes === 0) return false;
    if (mayExceed) memory.take(bytes);
    else if (!memory.tryTake(bytes)) return false;
    const grown = new Int32Array(slots);
    grown.set(this.offsets);
    this.offsets = grown; // readers keep the old ones, which hold what was there
    return true;
  }
}

/** Offsets take no more bytes than values may. */
function maxSlots(size: number): number {
  return Math.max(MIN_SLOTS, size / OFFSET_BYTES);
}

function slotsFor(size: number, expected: number): number {
  const wanted = (expected || Math.ceil(size / RECORD_BYTES)) + 1;
  return Math.min(maxSlots(size), Math.max(MIN_SLOTS, wanted));
}
