import { expect, test } from "bun:test";
import { connect as connectTls } from "node:tls";
import { PeerService } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import { startPeerListener } from "../../../src/rpc/listener.ts";
import { connectPeers } from "../../../src/rpc/peers.ts";
import { TestCluster } from "../../rpc/kit/cluster.ts";
import { addressOf, bytes, echo, runtime } from "../../rpc/kit/nodes.ts";
import { chunksOf } from "../kit/bytes.ts";
import { RealNode } from "../kit/real-node.ts";
import { boundMs } from "../kit/rounds.ts";
import { attack, hostile, PATIENCE_MS, sendHostile } from "../kit/sockets.ts";

// Real listeners, and what comes in at a socket: garbage, torn and oversized requests.

const { deliver } = PeerService.method;
const cluster = new TestCluster();

for (const tls of [null, cluster.member("server")]) {
  const kind = tls === null ? "plain text" : "TLS";
  test(
    `the peer listener (${kind}) serves on, whatever comes in at its socket`,
    async () => {
      const shared = { runtime, logger: silentLogger, routes: [echo] };
      const listener = startPeerListener({ ...shared, host: "127.0.0.1", port: 0, tls });
      const own = tls && cluster.member("client");
      const clients = connectPeers({ clock: runtime.clock, tls: () => own });
      await attack(15, (prng) => sendHostile(prng, listener.port));
      const { data } = await clients.unary(addressOf(listener), deliver, { data: bytes("after") });
      expect(data).toEqual(bytes("after"));
      await clients.close();
      await listener.stop();
    },
    boundMs(30_000),
  );
}

test(
  "nor does garbage within TLS keep the peer listener from serving on",
  async () => {
    const material = cluster.member("server");
    const shared = { runtime, logger: silentLogger, routes: [echo] };
    const listener = startPeerListener({ ...shared, host: "127.0.0.1", port: 0, tls: material });
    const { key, cert, ca } = cluster.member("client");
    await attack(8, (prng) => {
      const ended = Promise.withResolvers<void>();
      const protocols = prng.pick([["h2"], ["http/1.1"], ["h2", "http/1.1"]]);
      const options = { port: listener.port, host: "127.0.0.1", key, cert, ca: [...ca] };
      const socket = connectTls(
        { ...options, servername: "hedgerow", ALPNProtocols: protocols },
        () => {
          for (const chunk of chunksOf(prng, hostile(prng))) socket.write(chunk);
          setTimeout(() => socket.destroy(), prng.int(PATIENCE_MS));
        },
      );
      socket.on("error", () => ended.resolve()).on("close", () => ended.resolve());
      socket.resume();
      return ended.promise;
    });
    const own = cluster.member("client");
    const clients = connectPeers({ clock: runtime.clock, tls: () => own });
    await clients.unary(addressOf(listener), deliver, { data: bytes("after") });
    await clients.close();
    await listener.stop();
  },
  boundMs(30_000),
);

test(
  "the http listener of a node serves on, whatever comes in at its socket",
  async () => {
    await using real = await RealNode.start();
    const port = Number(real.http.address.split(":").at(-1));
    await attack(15, (prng) => sendHostile(prng, port));
    const response = await fetch(`http://${real.http.address}/put`, {
      method: "POST",
      body: "key value",
    });
    expect(await response.text()).toContain("key=key, value=value");
    expect(real.logger.lines.filter((line) => line.startsWith("handler failed"))).toEqual([]);
  },
  boundMs(30_000),
);
