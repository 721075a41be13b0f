import { MAX_MESSAGE_BYTES } from "../../store/limits.ts";

/** What streams between nodes may take. Each limit that is met has a typed error. */
export interface StreamLimits {
  /** Bytes of one message; a larger one ends its stream with `too_large`. Default 4 MiB. */
  readonly maxMessageBytes: number;
  /** Streams that one node may have open to another; more are refused with `overloaded`. Default 4,096. */
  readonly maxStreams: number;
  /**
   * Bytes that may wait here for readers, of all streams of one other node together, shared out among them.
   * Default 8 MiB: twice what a link of 1 GB/s carries in 4 ms. A writer whose share is full waits: no error. Each
   * may once send a message that is larger than its share: a stream by which they come to more than 32 times as much, and
   * to more than the first credits of all streams, ends with `overloaded`.
   */
  readonly maxBufferedBytes: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxStreams: 4_096,
  maxBufferedBytes: 8 * 1024 * 1024,
};

/** What a message counts beside its bytes: without it, empty ones would be without bound. */
export const MESSAGE_COST_BYTES = 64;
/** What each side may send before it is told more; both sides must have the same. */
export const FIRST_CREDIT_BYTES = 8 * 1024;
/** One stream gets no more: at 1 GB/s it lasts for a millisecond, longer than a round trip in a data center. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024;

/** The credit of one of so many streams: all that waits for slow readers stays within the limit. */
export function windowBytes(limits: StreamLimits, streams: number): number {
  const share = limits.maxBufferedBytes / Math.max(1, streams);
  return Math.floor(Math.min(MAX_WINDOW_BYTES, Math.max(FIRST_CREDIT_BYTES, share)));
}

/** So many times their shares may the streams come to, by messages that are larger. */
const OVER_SHARE = 32;

/** What may wait for readers of all streams, whatever the other side sends. */
export function maxWaitingBytes({ maxBufferedBytes, maxStreams }: StreamLimits): number {
  return Math.max(OVER_SHARE * maxBufferedBytes, maxStreams * FIRST_CREDIT_BYTES);
}

/**
 * Of one envelope. Some node may be set to send messages of 64 MiB: where that is too much its stream fails, and not the
 * connection with all others.
 */
export const MAX_ENVELOPE_BYTES = 65 * 1024 * 1024;
/** Unsent bytes of all streams to one node, from which on they wait: enough to fill the next writes. */
export const MAX_UNSENT_BYTES = 256 * 1024;
/**
 * Answers to what the other side says that may wait for it to read them, beside a message: far more than all streams
 * have at once. Who opens and ends streams without reading a word gets no further.
 */
export const MAX_UNREAD_BYTES = 16 * 1024 * 1024;
/** An envelope that has grown to this is closed. */
export const ENVELOPE_BYTES = 64 * 1024;

/** Both sides say that they live this often, milliseconds, whatever else they send. */
export const BEAT_MS = 250;
/**
 * So many beats without a word from the other side end the connection: after 1.5 to 1.75 s. Beats are counted, not
 * time: a node that was itself stopped for longer has missed one.
 */
export const MISSED_BEATS = 6;
/** The side that opened it closes a connection that has had no stream for so many beats. */
export const IDLE_BEATS = 20;
