import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { connect } from "node:net";
import { ServerReflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { GrpcListener } from "../../src/http/grpc/listener.ts";
import { createGrpcService } from "../../src/http/grpc/service.ts";
import { runtime } from "../rpc/kit/nodes.ts";
import { chunksOf } from "./kit/bytes.ts";
import { connection } from "./kit/http2.ts";
import { hostileBytes } from "./kit/messages.ts";
import { RealNode } from "./kit/real-node.ts";
import { boundMs } from "./kit/rounds.ts";
import { attack, hostile, PATIENCE_MS } from "./kit/sockets.ts";

// The grpc listener of a node: whatever comes in, it serves on and keeps nothing of those that have gone.

const METHODS = [...HedgerowService.methods, ...Health.methods, ...ServerReflection.methods];
const { clock } = runtime;

let real: RealNode;
let listener: GrpcListener;
beforeAll(async () => {
  real = await RealNode.start();
  const { node, logger } = real;
  listener = await GrpcListener.open({ address: "127.0.0.1:0", clock });
  listener.serve(createGrpcService({ node, api: createClientApi(node, clock), logger, clock }));
});
afterAll(async () => {
  await listener.stop();
  await real[Symbol.asyncDispose]();
});

const port = () => Number(listener.address.split(":").at(-1));

/** Somebody else is served, no defect of ours was told, and this many requests got as far as the service. */
async function expectServing(least: number): Promise<void> {
  const baseUrl = `http://${listener.address}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  const transport = createGrpcTransport({ baseUrl, sessionManager });
  const { timestamp } = await createClient(HedgerowService, transport).put(
    { key: "after", value: "value" },
    { timeoutMs: 5_000 },
  );
  expect(timestamp).toBeDefined();
  sessionManager.abort();
  const lines = real.logger.lines.splice(0);
  expect(lines.filter((line) => line.includes("failed"))).toEqual([]);
  expect(lines.filter((line) => line.startsWith("grpc request")).length).toBeGreaterThan(least);
}

test(
  "it serves on, whatever bytes come in at its socket",
  async () => {
    await attack(25, async (prng) => {
      const method = prng.pick(METHODS);
      const path = `/${method.parent.typeName}/${method.name}`;
      const message = () => hostileBytes(prng, method.input);
      const bytes = prng.chance(0.8) ? connection(prng, path, message) : hostile(prng);
      const ended = Promise.withResolvers<void>();
      const socket = connect(port(), "127.0.0.1", () => {
        for (const chunk of chunksOf(prng, bytes)) socket.write(chunk);
      });
      socket.on("error", () => ended.resolve()).on("close", () => ended.resolve());
      if (prng.chance(0.8)) socket.resume(); // the others read nothing
      await Promise.race([ended.promise, Bun.sleep(prng.int(PATIENCE_MS))]);
      socket.destroy();
    });
    await expectServing(100);
  },
  boundMs(30_000),
);
