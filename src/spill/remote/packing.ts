import { HedgerowError, messageOf } from "../../errors.ts";
import { checksumOf, cut } from "../checksum.ts";
import { discard } from "../../runtime/discard.ts";
import type { Sealed } from "../sealed.ts";

/** A segment's bytes as zstd frames (RFC 8878), one behind the other. */
export interface Packed {
  readonly bytes: number;
  /** Lengths of the frames. */
  readonly frames: readonly number[];
  /** Of each frame: the decompressor sees nothing but what was compressed here. */
  readonly checksums: readonly bigint[];
}

/** The fastest: what packs better packs slower than links are. */
const LEVEL = 1;
/** Bytes in a frame: so much is copied, and becomes garbage, at a time. A larger one packs no better at this level. */
const FRAME_BYTES = 1024 * 1024;
/** Of the segment's length: what is not smaller is not worth unpacking. */
const MOST_SHARE = 0.9;

/**
 * The segment's bytes, compressed on the runtime's threads; null where that saves less than a tenth. Throws what the
 * signal aborts with.
 */
export async function pack(
  { pieces, layout }: Sealed,
  signal: AbortSignal,
): Promise<{ readonly pieces: readonly Uint8Array[]; readonly packed: Packed } | null> {
  const most = layout.bytes * MOST_SHARE;
  const frames: Uint8Array[] = [];
  let bytes = 0;
  for (const part of joined(pieces, new Uint8Array(Math.min(FRAME_BYTES, layout.bytes)))) {
    const frame = await Bun.zstdCompress(part, { level: LEVEL });
    signal.throwIfAborted();
    bytes += frame.length;
    frames.push(frame);
    if (bytes <= most) continue;
    frames.forEach(discard);
    return null;
  }
  const lengths = frames.map(({ length }) => length);
  return { pieces: frames, packed: { bytes, frames: lengths, checksums: frames.map(checksumOf) } };
}

/**
 * Fills `into`, as long as the segment is. Throws `data_lost` for bytes that are not the ones that were packed, and what
 * the signal aborts with.
 */
export async function unpack(
  bytes: Uint8Array,
  { frames, checksums }: Packed,
  into: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  const parts = cut(bytes, frames);
  if (parts.some((part, i) => checksumOf(part) !== checksums[i])) {
    throw damaged("the checksum is not that of what was sent");
  }
  let at = 0;
  for (const part of parts) {
    const unpacked = await unpackedFrame(part);
    signal?.throwIfAborted();
    if (at + unpacked.length > into.length) throw wrongLength();
    into.set(unpacked, at);
    at += unpacked.length;
    discard(unpacked);
  }
  if (at !== into.length) throw wrongLength();
}

async function unpackedFrame(frame: Uint8Array): Promise<Uint8Array> {
  try {
    return await Bun.zstdDecompress(frame);
  } catch (error) {
    throw damaged(messageOf(error), error); // for want of memory, say
  }
}

function wrongLength(): HedgerowError {
  return damaged("the segment has another length than what was packed");
}

function damaged(why: string, cause?: unknown): HedgerowError {
  return new HedgerowError("data_lost", why, { cause });
}

/** The pieces' bytes in parts as long as `buffer`, the last one shorter. Each is `buffer`'s until the next. */
function* joined(pieces: readonly Uint8Array[], buffer: Uint8Array): Generator<Uint8Array> {
  let filled = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + buffer.length - filled);
      buffer.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < buffer.length) continue;
      yield buffer;
      filled = 0;
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled);
}
