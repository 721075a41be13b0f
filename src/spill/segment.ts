import { HedgerowError, messageOf } from "../errors.ts";
import type { Budget } from "./budget.ts";
import { bufferBytes, type Buffers, type RecordBuffer } from "./buffers.ts";
import type { Columns } from "./batch.ts";
import { CHECKSUM_BLOCK_BYTES, RunningChecksum } from "./checksum.ts";

/** Offsets that a segment begins with at the least. */
const MIN_SLOTS = 64;
/** Bytes of a record, as long as nothing is known of them. */
const RECORD_BYTES = 256;
const OFFSET_BYTES = Int32Array.BYTES_PER_ELEMENT;
/** Bytes between two pauses. */
const PAUSE_BYTES = CHECKSUM_BLOCK_BYTES;
/** Up to so many bytes a loop is quicker than a call. */
const SHORT_BYTES = 16;
/** Quicker than `set`: by 3 of 24 ns at 100 B, and by a quarter at 1 KiB. */
const { copy } = Buffer.prototype;

export interface SegmentOptions {
  /** Bytes of values. */
  readonly size: number;
  /** How many records to be ready for, 0 if that is not known; more grow it. */
  readonly expected: number;
  readonly buffers: Buffers;
  readonly memory: Budget;
  /** It is on its way out of memory: it may take more for offsets than the limit has left, and is filled with pauses. */
  readonly staged: boolean;
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
  /** How far it is filled before a pause. */
  #limit: number;
  readonly valuesSum: RunningChecksum;
  readonly #buffer: RecordBuffer;
  readonly #maxSlots: number;
  #freed = false;

  /**
   * The caller has taken `segmentBytes` of the budget; `free` gives all back, as does `no_space`, which is thrown where
   * the system has no memory.
   */
  constructor(private readonly options: SegmentOptions) {
    const { size, expected, buffers, memory } = options;
    const slots = slotsFor(size, expected);
    const [buffer, offsets] = allocate(memory, size + slots * OFFSET_BYTES, () => [
      buffers.get(size),
      offsetsFrom(buffers, slots),
    ]);
    this.#buffer = buffer;
    this.values = buffer.bytes;
    this.valuesSum = new RunningChecksum(buffer.bytes);
    this.offsets = offsets;
    this.#maxSlots = maxSlots(size);
    this.#limit = options.staged ? Math.min(size, PAUSE_BYTES) : size;
  }

  /** False if it has no room, or before a pause: then nothing has changed. Throws `no_space` where the system has no memory. */
  append(record: Uint8Array): boolean {
    const { values, end: start } = this;
    const end = start + record.length;
    const next = this.count + 1;
    if (end > this.#limit) return false;
    let { offsets } = this;
    if (next >= offsets.length) {
      if (!this.#grow()) return false;
      ({ offsets } = this);
    }
    offsets[next] = end; // is none before it is counted
    if (record.length > SHORT_BYTES) copy.call(record, values, start);
    else for (let i = 0; i < record.length; i++) values[start + i] = record[i] as number;
    this.count = next;
    this.end = end;
    return true;
  }

  /** After a pause: takes what is there into its checksum, which costs a quarter as long as it is in the cache. */
  appendOn(record: Uint8Array): boolean {
    if (this.#limit === this.values.length) return false;
    this.valuesSum.advance(this.end);
    const further = this.end + Math.max(PAUSE_BYTES, record.length);
    this.#limit = Math.min(this.values.length, further);
    return this.append(record);
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
    const { memory, buffers } = this.options;
    memory.give(this.allocated);
    buffers.put(this.#buffer); // first: a full node keeps one buffer, and this is the larger one
    buffers.put({ bytes: new Uint8Array(this.offsets.buffer), pins: this.#buffer.pins });
  }

  #grow(): boolean {
    const slots = Math.min(this.#maxSlots, this.offsets.length * 2);
    const bytes = (slots - this.offsets.length) * OFFSET_BYTES;
    const { buffers, memory, staged } = this.options;
    if (bytes === 0) return false;
    if (staged) memory.take(bytes);
    else if (!memory.tryTake(bytes)) return false;
    const grown = allocate(memory, bytes, () => offsetsFrom(buffers, slots));
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
  const rounded = bufferBytes(wanted * OFFSET_BYTES) / OFFSET_BYTES;
  return Math.min(maxSlots(size), Math.max(MIN_SLOTS, rounded));
}

/** The first of them is 0, the others are anything. */
function offsetsFrom(buffers: Buffers, slots: number): Int32Array<ArrayBuffer> {
  const offsets = new Int32Array(buffers.get(slots * OFFSET_BYTES).bytes.buffer);
  offsets[0] = 0;
  return offsets;
}

/** What was taken of the budget is given back where the system has no memory. */
function allocate<T>(memory: Budget, bytes: number, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    memory.give(bytes);
    const message = `no memory for ${bytes} bytes of a segment: ${messageOf(cause)}`;
    throw new HedgerowError("no_space", message, { cause });
  }
}
