import { MAX_MESSAGE_BYTES } from "../store/limits.ts";

/** Bytes of one encoded request or reply: the largest message of a user, and room for what goes with it. */
export const MAX_CALL_BYTES = MAX_MESSAGE_BYTES + 64 * 1024;

/** What a node may be told to take as the largest message, in bytes. */
export const MESSAGE_LIMIT_RANGE = { min: 1024, max: 64 * 1024 * 1024 } as const;

/** Bytes of one encoded request or reply where messages may have so many; never less than what nodes themselves need. */
export function callBytesFor(maxMessageBytes: number): number {
  return Math.max(MAX_CALL_BYTES, maxMessageBytes + 64 * 1024);
}

/** Milliseconds that a call may take where its caller names none. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/** A caller that names more milliseconds than this waits no longer. */
export const MAX_TIMEOUT_MS = 3_600_000;
/** The same for streams, as long as a timer can run. */
export const MAX_STREAM_TIMEOUT_MS = 2 ** 31 - 1;
