import { StreamOpeningSchema } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { discardPart } from "../../../src/runtime/discard.ts";
import type { Received, StreamInput, StreamKind, StreamRules } from "../../../src/rpc/port.ts";
import { type ServedStream, serveStream } from "../../../src/rpc/port.ts";

export const KIND: StreamKind<typeof StreamOpeningSchema> = {
  name: "test",
  opening: StreamOpeningSchema,
};

/** A route for streams of the tests' own kind. */
export function streamRoute(
  handler: (input: Received, stream: ServedStream) => StreamInput | Promise<StreamInput>,
  rules?: StreamRules,
) {
  return serveStream(KIND, (_, input, stream) => handler(input, stream), rules);
}

export const echoStream = streamRoute(async function* (input) {
  yield* input;
});

/** What a generator gives, as what comes over a connection: its memory is another's once it was taken. */
export function received(source: AsyncGenerator<Uint8Array, undefined, undefined>): Received {
  return Object.assign(source, {
    async each(take: (message: Uint8Array) => void) {
      for await (const message of source) {
        take(message);
        discardPart(message);
      }
    },
  });
}

export async function* texts(...all: string[]): AsyncGenerator<string> {
  yield* all;
}

export async function textsOf(messages: AsyncIterable<Uint8Array>): Promise<string[]> {
  const all: string[] = [];
  for await (const message of messages) all.push(Buffer.from(message).toString());
  return all;
}
