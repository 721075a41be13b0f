import { END_OF_STREAM_FLAG, envelope } from "../envelopes.ts";
import type { StreamLink } from "./link.ts";

/** What a link sends, as the body of an answer. Takes more when the connection has room for it. */
export function answerOf(link: StreamLink, onCancel: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await link.next();
        if (next === null) {
          controller.enqueue(endOfStream());
          controller.close();
          return;
        }
        controller.enqueue(next.head);
        if (next.body !== null) controller.enqueue(next.body);
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
