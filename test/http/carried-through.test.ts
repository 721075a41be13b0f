import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CallOptions, type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { GrpcListener } from "../../src/http/grpc/listener.ts";
import { createGrpcService } from "../../src/http/grpc/service.ts";
import { HttpListener } from "../../src/http/listener.ts";
import type { MessageHandler } from "../../src/node/api.ts";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import { silentLogger as logger } from "../../src/observe/logger.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { until } from "../rpc/kit/wait.ts";

// A caller of one node that gives up, or whose deadline passes, ends the handler on another.

const clock = systemClock();

/** What the handlers of the leader were given, by the message. */
const handled = new Map<string, AbortSignal>();
const hang: MessageHandler = (data, { signal }) => {
  handled.set(Buffer.from(data).toString(), signal);
  return new Promise(() => {});
};

let folder: string;
let leader: Hedgerow;
let follower: Hedgerow;
let http: HttpListener;
let grpc: GrpcListener;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-carried-"));
  const start = () =>
    Hedgerow.start({
      store: `sqlite:${join(folder, "h.db")}`,
      address: "127.0.0.1:0",
      lease: "5s",
      onSend: hang,
      onBroadcast: hang,
    });
  leader = await start();
  await until("it leads", () => leader.isLeader, 10_000);
  follower = await start();
  await until("it knows the leader", () => follower.leader === leader.address, 10_000);
  const api = createClientApi(follower, clock);
  http = new HttpListener({ address: "127.0.0.1:0", clock });
  const rules = { boundHost: http.host, hosts: [], origins: [] };
  http.serve(createHttpApp({ node: follower, api, hostname: "pod-1", rules, logger, clock }));
  grpc = await GrpcListener.open({ address: "127.0.0.1:0", clock });
  grpc.serve(createGrpcService({ node: follower, api, logger, clock }));
}, 90_000);

afterAll(async () => {
  await http.stop();
  await grpc.stop();
  await follower.stop();
  await leader.stop();
  await rm(folder, { recursive: true, force: true });
}, 90_000);

const TRANSPORTS: Readonly<Record<string, () => Transport>> = {
  Connect: () =>
    createConnectTransport({ baseUrl: `http://${http.address}`, useBinaryFormat: true }),
  "Connect, JSON": () => createConnectTransport({ baseUrl: `http://${http.address}` }),
  "gRPC-Web": () => createGrpcWebTransport({ baseUrl: `http://${http.address}` }),
  gRPC: () => createGrpcTransport({ baseUrl: `http://${grpc.address}` }),
};

type Call = (
  client: Client<typeof HedgerowService>,
  data: Uint8Array,
  options: CallOptions,
) => Promise<unknown>;

const CALLS: Readonly<Record<string, Call>> = {
  Send: (client, data, options) => client.send({ data }, options),
  Broadcast: (client, data, options) =>
    Array.fromAsync(client.broadcast({ data, onlySendTo: [leader.address] }, options), (reply) => {
      // A member that was given up is told as such, beside those that answered.
      if (reply.outcome.case === "error") throw new Error(reply.outcome.value);
    }),
};

for (const [protocol, transport] of Object.entries(TRANSPORTS)) {
  for (const [method, call] of Object.entries(CALLS)) {
    test.concurrent(
      `${protocol}: a caller of ${method} that gives up ends the leader's handler`,
      async () => {
        const message = `${protocol} ${method} given up`;
        const giveUp = new AbortController();
        const client = createClient(HedgerowService, transport());
        const ended = call(client, Buffer.from(message), { signal: giveUp.signal }).catch((e) => e);
        await until("the leader handles it", () => handled.has(message));
        expect(handled.get(message)?.aborted).toBe(false);
        giveUp.abort();
        expect(await ended).toBeInstanceOf(Error);
        await until("the handler is told", () => handled.get(message)?.aborted === true);
      },
    );

    test.concurrent(`${protocol}: a deadline of ${method} ends the leader's handler`, async () => {
      const message = `${protocol} ${method} late`;
      const client = createClient(HedgerowService, transport());
      const started = performance.now();
      const ended = call(client, Buffer.from(message), { timeoutMs: 1_500 }).catch((e) => e);
      await until("the leader handles it", () => handled.has(message));
      expect(await ended).toBeInstanceOf(Error);
      await until("the handler is told", () => handled.get(message)?.aborted === true);
      expect(performance.now() - started).toBeGreaterThan(1_400);
    });
  }
}

test("a deadline alone does so, without the caller's hanging up", async () => {
  const message = "as curl sends it";
  const response = await fetch(`http://${http.address}/hedgerow.v1.HedgerowService/Send`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": "1500" },
    body: JSON.stringify({ data: btoa(message) }),
  });
  expect(((await response.json()) as { code: string }).code).toBe("deadline_exceeded");
  await until("the handler is told", () => handled.get(message)?.aborted === true);
});
