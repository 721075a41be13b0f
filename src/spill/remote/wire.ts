import {
  FetchSegmentSchema,
  KeepSegmentSchema,
  SpillService,
} from "../../gen/hedgerow/v1/spill_pb.ts";

/** The streams that segments travel on, and the calls beside them. */
export const KEEP = { name: "spill.keep", opening: KeepSegmentSchema, isBytes: true } as const;
export const FETCH = { name: "spill.fetch", opening: FetchSegmentSchema, isBytes: true } as const;
export const CALLS = SpillService.method;

/** Milliseconds that one segment may be under way. */
export const TRANSFER_MS = 60_000;
/** Until a holder takes the stream. */
export const OPEN_MS = 4_000;
/** Stores in one renewal. */
export const MAX_RENEWED = 1_000;
/** Bytes of one message. The larger it is, the more of what comes for a disk has memory of its own (`discardPart`). */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** A store, as those that keep its segments know it; see SpillOwner. */
export interface OwnerId {
  readonly address: string;
  readonly incarnation: bigint;
  readonly store: bigint;
}

/** Views of the pieces, in messages of a bounded size. */
export function* chunksOf(pieces: readonly Uint8Array[]): Generator<Uint8Array, undefined> {
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += CHUNK_BYTES) {
      yield piece.subarray(at, at + CHUNK_BYTES);
    }
  }
}
