import { MAX_KEY_BYTES, MAX_MESSAGE_BYTES, MAX_VALUE_BYTES } from "../store/limits.ts";

/**
 * Bytes of a request or reply of the client API. In JSON a byte of a value may take six (`\u0000`), and
 * three bytes of a message take four.
 */
export const MAX_API_BYTES = 6 * MAX_VALUE_BYTES + 64 * 1024;

/** The same where messages may have so many bytes; never less than what values need. */
export function apiBytesFor(maxMessageBytes: number): number {
  return Math.max(MAX_API_BYTES, Math.ceil((maxMessageBytes * 4) / 3) + 64 * 1024);
}

/** The largest body of a demo endpoint: a message, or a key, a space and a value. */
export function textBytesFor(maxMessageBytes: number = MAX_MESSAGE_BYTES): number {
  return Math.max(maxMessageBytes, MAX_KEY_BYTES + 1 + MAX_VALUE_BYTES);
}
