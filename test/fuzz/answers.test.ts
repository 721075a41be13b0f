import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import { bytes, runtime } from "../rpc/kit/nodes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { join, mutate } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes } from "./kit/messages.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// What a node makes of the answers to its calls, whoever gives them.

const { deliver } = PeerService.method;

test(
  "a client of peers ends each call, typed, whatever answers",
  async () => {
    const codes = new Set<string>();
    await asyncRounds(40, async (prng) => {
      const server = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        socket: {
          data(socket) {
            socket.write(answer(prng));
            if (prng.chance(0.7)) socket.end();
          },
        },
      });
      const clients = connectPeers({ clock: runtime.clock, tls: () => null });
      for (let left = 5; left > 0; left--) {
        const call = clients.unary(`127.0.0.1:${server.port}`, deliver, {}, { timeoutMs: 60 });
        const code = await call.then(
          () => "answered",
          (error: unknown) => expectTypedOfPeer(error),
        );
        codes.add(code);
      }
      await clients.close();
      server.stop(true);
    });
    expect(codes.size).toBeGreaterThan(3);
  },
  boundMs(30_000),
);

function answer(prng: Prng): Uint8Array {
  const body = hostileBytes(prng, deliver.output);
  const status = prng.pick(["200 OK", "400 Bad Request", "503 Away", "302 Found", "99 x"]);
  const length = prng.pick([body.length, body.length + 9, 99_999_999_999]);
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/proto\r\ncontent-length: ${length}\r\n\r\n`;
  const whole = join(bytes(head), body);
  return prng.chance(0.5) ? whole : mutate(prng, whole);
}

/** That another node says of itself that it has a defect is its own word. */
function expectTypedOfPeer(error: unknown): string {
  if (HedgerowError.is(error, "internal")) return error.code;
  return expectTyped(error, () => "a call");
}
