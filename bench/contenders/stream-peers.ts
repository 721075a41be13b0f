// Our own streams between nodes, with and without TLS.
import { StreamOpeningSchema } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { type StreamKind, serveStream } from "../../src/rpc/port.ts";
import { playRole } from "../roles.ts";
import { peersFrom, servePeers } from "./peers.ts";
import { endless, streamLoad } from "./stream-load.ts";

const KIND: StreamKind<typeof StreamOpeningSchema> = {
  name: "bench",
  opening: StreamOpeningSchema,
};

async function* nothing(messages: AsyncIterable<unknown>): AsyncGenerator<never> {
  for await (const _ of messages);
  yield* [];
}

/** Sends what it is asked for, or reads what there is. */
const route = serveStream(KIND, ({ metadata: { bytes, seconds } }, input) =>
  seconds === undefined ? nothing(input) : endless(Number(bytes), Number(seconds)),
);

await playRole({
  server: async ({ tls }) => servePeers([], tls === true, [], [route]),
  load: async (server) => {
    const peers = peersFrom(server, []);
    const open = (metadata: Record<string, string>, input: AsyncIterable<Uint8Array> | []) =>
      peers.stream(`127.0.0.1:${server.port}`, KIND, { metadata }, input);
    const client = {
      async down(bytes: number, seconds: number, onMessage: () => void) {
        const replies = await open({ bytes: `${bytes}`, seconds: `${seconds}` }, []);
        for await (const _ of replies) onMessage();
      },
      async up(messages: AsyncIterable<Uint8Array>) {
        for await (const _ of await open({}, messages));
      },
    };
    return streamLoad(client, server);
  },
});
