import type { RecordBatch } from "apache-arrow";
import { HedgerowError } from "../errors.ts";
import type { Columns } from "./batch.ts";
import { checksumOf, RunningChecksums } from "./checksum.ts";
import type { Segment } from "./segment.ts";

/** Where in a segment's bytes its columns lie, and how to know that these are the bytes that were written. */
export interface Layout {
  readonly bytes: number;
  readonly count: number;
  readonly offsetsAt: number;
  readonly valuesAt: number;
  readonly valueBytes: number;
  /** Lengths of the pieces, and their checksums. */
  readonly lengths: readonly number[];
  readonly checksums: readonly bigint[];
}

/** A segment as an Arrow IPC file, in pieces; two of them are the segment's own arrays. */
export interface Sealed {
  readonly pieces: readonly Uint8Array[];
  readonly layout: Layout;
}

/** Name of the one column. */
export const COLUMN = "record";

type Arrow = typeof import("apache-arrow");

let arrow: Arrow | null = null;

/** Loads apache-arrow, which takes 60 ms and which nothing before needs; null once it is there. */
export function loadSealing(): Promise<void> | null {
  if (arrow !== null) return null;
  return import("apache-arrow").then((loaded) => {
    arrow = loaded;
  });
}

/**
 * The segment as the bytes of an Arrow file (arrow.apache.org/docs/format/Columnar.html) with one record batch of one
 * Binary column. Copies none of the records. Sealing must be loaded.
 */
export function seal(segment: Segment): Sealed {
  if (arrow === null) throw new HedgerowError("internal", "sealing is not loaded");
  const { count, end } = segment;
  const offsets = segment.offsets.subarray(0, count + 1);
  const values = segment.values.subarray(0, end);
  const column = arrow.makeData({
    type: new arrow.Binary(),
    length: count,
    nullCount: 0,
    valueOffsets: offsets,
    data: values,
  });
  const schema = new arrow.Schema([new arrow.Field(COLUMN, column.type, false)]);
  const rows = arrow.makeData({
    type: new arrow.Struct(schema.fields),
    length: count,
    nullCount: 0,
    children: [column],
  });
  const pieces = written(arrow, new arrow.RecordBatch(schema, rows));
  const sums = pieces.map((piece) =>
    piece.buffer === values.buffer ? segment.valuesSum.of(end) : checksumOf(piece),
  );
  return { pieces, layout: layoutOf(pieces, sums, offsets, values, count) };
}

/** The writer's pieces as it makes them, without waiting for a reader of its queue. */
function written(loaded: Arrow, batch: RecordBatch): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  class Pieces extends loaded.AsyncByteQueue {
    override write(piece: ArrayBufferView): void {
      const { buffer, byteOffset, byteLength } = piece;
      if (byteLength > 0) pieces.push(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  const writer = new loaded.RecordBatchFileWriter();
  writer.reset(new Pieces());
  writer.write(batch);
  writer.finish();
  return pieces;
}

/**
 * The columns in a segment's bytes, as views. Throws `data_lost` for bytes that are not the ones that were written.
 * `sums`: of what has been taken in already.
 */
export function unseal(
  bytes: Uint8Array<ArrayBuffer>,
  layout: Layout,
  sums = new RunningChecksums(bytes, layout.lengths),
): Columns {
  const same =
    bytes.length === layout.bytes && sums.all().every((sum, i) => sum === layout.checksums[i]);
  if (!same) throw new HedgerowError("data_lost", "the checksum is not that of what was written");
  return {
    offsets: new Int32Array(bytes.buffer, bytes.byteOffset + layout.offsetsAt, layout.count + 1),
    values: bytes.subarray(layout.valuesAt, layout.valuesAt + layout.valueBytes),
  };
}

function layoutOf(
  pieces: readonly Uint8Array[],
  checksums: readonly bigint[],
  offsets: Int32Array,
  values: Uint8Array,
  count: number,
): Layout {
  const lengths = pieces.map((piece) => piece.length);
  const starts: number[] = [];
  let bytes = 0;
  for (const length of lengths) {
    starts.push(bytes);
    bytes += length;
  }
  const startOf = (part: Int32Array | Uint8Array) => {
    const at = pieces.findIndex((piece) => piece.length > 0 && piece.buffer === part.buffer);
    return starts[at] ?? 0; // only a segment whose records are all empty has no piece of values
  };
  return {
    bytes,
    count,
    offsetsAt: startOf(offsets),
    valuesAt: startOf(values),
    valueBytes: values.length,
    lengths,
    checksums,
  };
}
