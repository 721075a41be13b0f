import { MAX_MESSAGE_BYTES } from "../store/limits.ts";

/** Bytes of one encoded request or reply: the largest message of a user, and room for what goes with it. */
export const MAX_CALL_BYTES = MAX_MESSAGE_BYTES + 64 * 1024;

/** Milliseconds that a call may take where its caller names none. */
export const DEFAULT_TIMEOUT_MS = 10_000;
/** A caller that names more milliseconds than this waits no longer. */
export const MAX_TIMEOUT_MS = 3_600_000;
/** The same for streams, as long as a timer can run. */
export const MAX_STREAM_TIMEOUT_MS = 2 ** 31 - 1;
