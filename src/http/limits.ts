import { MAX_VALUE_BYTES } from "../store/limits.ts";

/**
 * Bytes of a request or reply of the client API. In JSON a byte of a value may take six (`\u0000`), and
 * three bytes of a message take four.
 */
export const MAX_API_BYTES = 6 * MAX_VALUE_BYTES + 64 * 1024;
