/**
 * Records that lie together, as views of where they are: copy what is to be kept. Valid until the next step of the
 * iteration; not to be written to.
 */
export interface SpillBatch extends Iterable<Uint8Array> {
  /** Index of the first record in the store. */
  readonly first: number;
  readonly length: number;
  /** One more than there are records: record `i` is `values` from `offsets[i]` to `offsets[i + 1]`. */
  readonly offsets: Int32Array;
  readonly values: Uint8Array;
  /** A view of record `i` of the batch, 0 to `length - 1`. */
  at(i: number): Uint8Array;
}

/** What a segment's records are made of. */
export interface Columns {
  readonly offsets: Int32Array;
  readonly values: Uint8Array;
}

export class Batch implements SpillBatch {
  constructor(
    readonly first: number,
    readonly offsets: Int32Array,
    readonly values: Uint8Array,
  ) {}

  /** The records `from` to `to`, exclusive, of the segment that begins with record `first`. */
  static of(columns: Columns, first: number, from: number, to: number): Batch {
    return new Batch(from, columns.offsets.subarray(from - first, to - first + 1), columns.values);
  }

  get length(): number {
    return this.offsets.length - 1;
  }

  at(i: number): Uint8Array {
    const { offsets } = this;
    if (!(i >= 0 && i < offsets.length - 1)) throw new RangeError(`no record ${i} in the batch`);
    return this.values.subarray(offsets[i], offsets[i + 1]);
  }

  *[Symbol.iterator](): Generator<Uint8Array, void> {
    const { offsets, values, length } = this;
    for (let i = 0; i < length; i++) yield values.subarray(offsets[i], offsets[i + 1]);
  }
}

/** A copy of record `at`. */
export function copyOf({ offsets, values }: Columns, at: number): Uint8Array {
  return values.slice(offsets[at], offsets[at + 1]);
}
