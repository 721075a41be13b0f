import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { HedgerowError } from "../errors.ts";
import { decode, encode } from "./codec.ts";
import {
  COMPRESSED_FLAG,
  END_OF_STREAM_FLAG,
  type Envelope,
  EnvelopeReader,
  envelope,
} from "./envelopes.ts";
import { fromConnectError } from "./errors.ts";

/** Messages as a body of envelopes. Takes the next message when the connection has room for it. */
export function streamOf<I extends DescMessage>(
  schema: I,
  messages: AsyncIterable<MessageInitShape<I>>,
): ReadableStream<Uint8Array> {
  const iterator = messages[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(envelope(encode(schema, value)));
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

export interface ReceiveOptions {
  /** Filled with what the end of the stream carries. */
  readonly trailer: Headers;
  readonly maxBytes: number;
  /** What is thrown for an error of the stream. */
  readonly failure: (error: unknown) => Error;
  /** Called once, when the stream has ended or the receiver has left it. */
  readonly end: () => void;
}

/**
 * The messages in a body of envelopes. Only the end-of-stream message ends them well: a body that simply
 * stops was cut, and its last messages may be missing.
 */
export async function* messagesOf<O extends DescMessage>(
  schema: O,
  body: ReadableStream<Uint8Array>,
  { trailer, maxBytes, failure, end }: ReceiveOptions,
): AsyncGenerator<MessageShape<O>, void> {
  const reader = new EnvelopeReader(maxBytes);
  let ended = false;
  try {
    for await (const chunk of body) {
      if (ended) continue; // nothing counts after the end
      reader.push(chunk);
      while (!ended) {
        const next = reader.next();
        if (next === null) break;
        if (next.flags & COMPRESSED_FLAG) throw unexpected("compressed message");
        if (next.flags & END_OF_STREAM_FLAG) {
          ended = true;
          readEnd(next, trailer);
        } else {
          yield decode(schema, next.data);
        }
      }
    }
    if (!ended) throw unexpected("end without the end-of-stream message");
  } catch (error) {
    throw failure(error);
  } finally {
    end();
  }
}

function readEnd({ data }: Envelope, trailer: Headers): void {
  const { metadata, error } = endStreamFromJson(data);
  for (const [key, value] of metadata) trailer.append(key, value);
  if (error !== undefined) throw fromConnectError(error);
}

function unexpected(what: string): HedgerowError {
  return new HedgerowError("outcome_unknown", `the stream was cut: ${what}`);
}
