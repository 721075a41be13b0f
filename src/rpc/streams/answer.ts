import { END_OF_STREAM_FLAG, envelope } from "../envelopes.ts";
import type { StreamLink } from "./link.ts";

/**
 * Bytes that are handed over at a time. What the system does not take of them at once, and what comes behind something
 * that waits already, Bun copies: whole messages would all be.
 */
const PIECE_BYTES = 256 * 1024;

/** What a link sends, as the body of an answer. Takes more when the connection has room for it. */
export function answerOf(link: StreamLink, onCancel: () => void): ReadableStream<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (rest.length > 0 && link.lends) {
          controller.enqueue(rest.subarray(0, PIECE_BYTES));
          rest = rest.subarray(PIECE_BYTES);
          return;
        }
        const next = await link.next();
        if (next === null) {
          controller.enqueue(endOfStream());
          controller.close();
          return;
        }
        controller.enqueue(next.head);
        if (next.body !== null) rest = next.body;
      },
      cancel: onCancel,
    },
    { highWaterMark: 0 },
  );
}

/** The last message of a Connect stream that ended well. */
function endOfStream(): Uint8Array<ArrayBuffer> {
  const bytes = envelope(new TextEncoder().encode("{}"));
  bytes[0] = END_OF_STREAM_FLAG;
  return bytes;
}
