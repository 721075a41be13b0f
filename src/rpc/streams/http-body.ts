import { envelope, END_OF_STREAM_FLAG } from "../envelopes.ts";
import type { StreamLink } from "./link.ts";

/**
 * What a link sends, and `last` after it, as the body of a request or response. Takes more when the connection has room
 * for it.
 */
export function bodyOf(
  link: StreamLink,
  onCancel: () => void,
  last?: Uint8Array,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await link.next();
        if (bytes !== null) return controller.enqueue(bytes);
        if (last !== undefined) controller.enqueue(last);
        controller.close();
      },
      cancel: onCancel,
    },
    { highWaterMark: 0 },
  );
}

/** The end of a Connect stream that ended well. */
export function endOfStream(): Uint8Array<ArrayBuffer> {
  const bytes = envelope(new TextEncoder().encode("{}"));
  bytes[0] = END_OF_STREAM_FLAG;
  return bytes;
}
