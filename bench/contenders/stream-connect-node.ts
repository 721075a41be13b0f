// Connect's stock client and server for Node: a bidirectional stream over HTTP/2 without TLS.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { playRole } from "../roles.ts";
import { endless, streamLoad } from "./stream-load.ts";

type Part =
  | { case: "data"; value: Uint8Array }
  | { case: "open"; value: { metadata: Record<string, string> } };

async function* down(bytes: number, seconds: number) {
  for await (const data of endless(bytes, seconds)) yield { data };
}

await playRole({
  async server() {
    const adapter = connectNodeAdapter({
      routes: (router) =>
        router.rpc(HedgerowService.method.streamToLeader, async function* (requests) {
          for await (const { part } of requests) {
            if (part.case !== "open") continue;
            const { bytes, seconds } = part.value.metadata;
            yield* down(Number(bytes), Number(seconds));
          }
        }),
    });
    const server = createServer(adapter);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { port: (server.address() as AddressInfo).port };
  },
  load: async (server) => {
    const transport = createConnectTransport({
      baseUrl: `http://127.0.0.1:${server.port}`,
      httpVersion: "2",
      useBinaryFormat: true,
    });
    const { streamToLeader } = createClient(HedgerowService, transport);
    const client = {
      async down(bytes: number, seconds: number, onMessage: () => void) {
        const metadata = { bytes: `${bytes}`, seconds: `${seconds}` };
        async function* ask(): AsyncGenerator<{ part: Part }> {
          yield { part: { case: "open", value: { metadata } } };
        }
        for await (const _ of streamToLeader(ask())) onMessage();
      },
      async up(messages: AsyncIterable<Uint8Array>) {
        async function* parts(): AsyncGenerator<{ part: Part }> {
          for await (const value of messages) yield { part: { case: "data", value } };
        }
        for await (const _ of streamToLeader(parts()));
      },
    };
    return streamLoad(client, server);
  },
});
