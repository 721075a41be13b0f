// Connect's stock client and server for Node, over HTTP/2 without TLS.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient } from "@connectrpc/connect";
import { connectNodeAdapter, createConnectTransport } from "@connectrpc/connect-node";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { playRole } from "../roles.ts";

async function serveConnect(): Promise<number> {
  const adapter = connectNodeAdapter({
    routes: (router) => router.service(PeerService, { deliver: ({ data }) => ({ data }) }),
  });
  const server = createServer(adapter);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

if (import.meta.main) {
  await playRole({
    server: async () => ({ port: await serveConnect() }),
    client: async ({ port }) => {
      const transport = createConnectTransport({
        baseUrl: `http://127.0.0.1:${port}`,
        httpVersion: "2",
        useBinaryFormat: true,
      });
      const client = createClient(PeerService, transport);
      const data = new Uint8Array(64);
      return () => client.deliver({ data });
    },
  });
}
