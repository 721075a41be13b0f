import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { GrpcListener } from "../../src/http/grpc/listener.ts";
import { createGrpcService } from "../../src/http/grpc/service.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { until } from "../rpc/kit/wait.ts";
import { fakeNode } from "./fake-node.ts";

// Two calls, two streams, messages of 16 MiB: over all protocols of both listeners.

const clock = systemClock();
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
let http: HttpListener;
let grpc: GrpcListener;
let release: PromiseWithResolvers<void>;
let entered = 0;

beforeAll(async () => {
  http = new HttpListener({ address: "127.0.0.1:0", clock });
  grpc = await GrpcListener.open({ address: "127.0.0.1:0", clock });
  const send = async (data: Uint8Array | string) => {
    if (data.length > 0) return new Uint8Array(data.length);
    entered++;
    await release.promise;
    return new Uint8Array();
  };
  const node = fakeNode({ send, sendToLeader: send });
  const api = createClientApi(node, clock, { maxCalls: 2, maxStreams: 2 });
  const shared = { node, api, logger: silentLogger, clock, maxMessageBytes: MAX_MESSAGE_BYTES };
  const rules = { boundHost: "127.0.0.1", hosts: [], origins: [] };
  http.serve(createHttpApp({ ...shared, hostname: "pod-1", rules }));
  grpc.serve(createGrpcService(shared));
});
beforeEach(() => {
  release = Promise.withResolvers();
  entered = 0;
});
afterAll(async () => {
  await http.stop();
  await grpc.stop();
});

const web = () => ({ baseUrl: `http://${http.address}`, httpVersion: "1.1" as const });
const transports: readonly (readonly [string, () => Transport])[] = [
  ["Connect", () => createConnectTransport(web())],
  ["Connect in JSON", () => createConnectTransport({ ...web(), useBinaryFormat: false })],
  ["gRPC-Web", () => createGrpcWebTransport(web())],
  ["gRPC", () => createGrpcTransport({ baseUrl: `http://${grpc.address}` })],
];

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "done",
    (error) => fromConnectError(error as never).code,
  );

describe.each(transports)("over %s", (_, make) => {
  const client = () => createClient(HedgerowService, make());

  test("more calls than may be under way are overloaded; status is told all the same", async () => {
    const api = client();
    const busy = [codeOf(api.send({})), codeOf(api.send({}))];
    await until("two are there", () => entered === 2);
    expect(await codeOf(api.send({}))).toBe("overloaded");
    expect(await codeOf(api.get({ key: "k" }))).toBe("overloaded");
    expect(await codeOf(Array.fromAsync(api.broadcast({})))).toBe("overloaded");
    expect((await fetch(`http://${http.address}/get`, { method: "POST", body: "k" })).status).toBe(
      503,
    );
    expect(await codeOf(api.status({}))).toBe("done");
    release.resolve();
    expect(await Promise.all(busy)).toEqual(["done", "done"]);
    expect(await codeOf(api.get({ key: "k" }))).toBe("done");
  });

  test("more streams of a client than may be open are overloaded; one that ends makes room", async () => {
    const api = client();
    const ends = [new AbortController(), new AbortController()];
    const open = async ({ signal }: AbortController) => {
      const stream = api.watchMembers({}, { signal })[Symbol.asyncIterator]();
      await stream.next();
      return stream;
    };
    const streams = await Promise.all(ends.map(open));
    expect(await codeOf(open(new AbortController()))).toBe("overloaded");
    ends[0]?.abort();
    await codeOf(streams[0]?.next() ?? Promise.resolve());
    const late = new AbortController();
    await until("there is room", async () => (await codeOf(open(late))) === "done");
    for (const end of [...ends, late]) end.abort();
    // The next test's streams are of the same client.
    await until("the server has seen that they are gone", async () => {
      const end = new AbortController();
      const opened = await Promise.all([open(end), open(end)].map(codeOf));
      end.abort();
      return opened.every((code) => code === "done");
    });
  });

  test("a message of the size that is allowed passes, a larger one is too_large", async () => {
    const api = client();
    const { data } = await api.send({ data: new Uint8Array(MAX_MESSAGE_BYTES) });
    expect(data.length).toBe(MAX_MESSAGE_BYTES);
    const larger = new Uint8Array(2 * MAX_MESSAGE_BYTES);
    expect(await codeOf(api.send({ data: larger }))).toBe("too_large");
  });
});

test("the demo endpoints take a message of that size", async () => {
  const ask = (bytes: number) =>
    fetch(`http://${http.address}/send`, { method: "POST", body: new Uint8Array(bytes).fill(97) });
  expect((await ask(MAX_MESSAGE_BYTES)).status).toBe(200);
  expect((await ask(MAX_MESSAGE_BYTES + 1)).status).toBe(413);
});
