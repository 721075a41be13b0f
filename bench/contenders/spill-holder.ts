// The other end of the remote tier, in a process of its own: `spill-holder.ts '{"bytes":N,"tls":...}'` prints the port
// of a node that keeps segments in memory, and the port of a bare server (of TCP, or of mutual TLS) that takes or sends as
// many bytes as it is told.
import { silentLogger } from "../../src/observe/logger.ts";
import { startPeerListener } from "../../src/rpc/listener.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { Spill } from "../../src/spill/spill.ts";
import type { HolderSettings } from "./spill-remote.ts";

const { bytes, tls } = JSON.parse(process.argv[2] ?? "") as HolderSettings;
const runtime = systemRuntime();
const spill = new Spill({
  clock: runtime.clock,
  logger: silentLogger,
  memoryBytes: bytes,
  diskBytes: 0,
  files: null,
});
const listener = startPeerListener({
  runtime,
  logger: silentLogger,
  host: "127.0.0.1",
  port: 0,
  tls,
  routes: spill.holder.routes,
  streamRoutes: spill.holder.streamRoutes,
});

/** The first 9 bytes of a connection: 0 to take, 1 to send; how many. */
interface Transfer {
  head: Buffer;
  left: number;
  sends: boolean;
}
const block = new Uint8Array(256 * 1024).fill(7);

const server = Bun.listen<Transfer>({
  hostname: "127.0.0.1",
  port: 0,
  ...(tls !== null && {
    tls: {
      key: tls.key,
      cert: tls.cert,
      ca: [...tls.ca],
      requestCert: true,
      rejectUnauthorized: true,
    },
  }),
  socket: {
    open(socket) {
      socket.data = { head: Buffer.alloc(0), left: -1, sends: false };
    },
    data(socket, chunk) {
      const transfer = socket.data;
      if (transfer.left >= 0) {
        transfer.left -= chunk.length;
      } else {
        transfer.head = Buffer.concat([transfer.head, chunk]);
        if (transfer.head.length < 9) return;
        transfer.sends = transfer.head[0] === 1;
        transfer.left = transfer.head.readDoubleBE(1) - (transfer.head.length - 9);
      }
      if (transfer.sends) send(socket);
      else if (transfer.left === 0) socket.end(new Uint8Array([1]));
    },
    drain: send,
  },
});

function send(socket: Bun.Socket<Transfer>): void {
  const transfer = socket.data;
  while (transfer.sends && transfer.left > 0) {
    const written = socket.write(block.subarray(0, Math.min(block.length, transfer.left)));
    if (written <= 0) return;
    transfer.left -= written;
  }
}

console.log(JSON.stringify({ node: listener.port, bare: server.port }));
