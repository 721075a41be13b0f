// Callers that send half of something, say no more, and stay connected when the node stops.
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { describe, expect, test } from "bun:test";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { withoutLong } from "../rpc/kit/clock.ts";
import { until } from "../rpc/kit/wait.ts";
import { fakeNode } from "./fake-node.ts";
import { GrpcKit } from "./grpc/grpc-kit.ts";

/** Whoever waits for half a request waits until the grace is over: never. */
const clock = withoutLong(systemClock());
const SERVICE = "/hedgerow.v1.HedgerowService";

function serving(put: () => Promise<{ id: string; timestamp: number }>) {
  const listener = new HttpListener({ address: "127.0.0.1:0", clock });
  const node = fakeNode({ put });
  const api = createClientApi(node, clock);
  const rules = { boundHost: "127.0.0.1", hosts: [], origins: [] };
  const app = createHttpApp({ node, api, rules, hostname: "pod-1", logger: silentLogger, clock });
  let asked = 0;
  listener.serve({
    fetch(request, server) {
      asked++;
      return app.fetch(request, server);
    },
    stop: () => app.stop(),
  });
  return { listener, asked: () => asked };
}

const never = () => new Promise<never>(() => {});

describe("half of a request over HTTP/1.1", () => {
  const half = (type: string) => `content-type: ${type}\r\ncontent-length: 100\r\n\r\n{`;
  test.each([
    ["a unary call", `${SERVICE}/Put`, half("application/json"), "the node is stopping"],
    [
      "a stream's only message",
      `${SERVICE}/WatchLog`,
      half("application/connect+json"),
      "stopping",
    ],
    ["a stream's first message", `${SERVICE}/StreamToLeader`, half("application/connect+json"), ""],
    ["an upload", `${SERVICE}/SpillWrite`, half("application/connect+proto"), "is stopping"],
    ["gRPC-Web", `${SERVICE}/Put`, half("application/grpc-web+proto"), "stopping"],
    ["a demo endpoint", "/put", half("text/plain"), "is stopping"],
    ["its head", "/put", "content-type: text/pl", ""],
  ])("%s does not hold the stop up", async (_, path, rest, told) => {
    const { listener, asked } = serving(never);
    const [host, port] = listener.address.split(":");
    const socket = connect(Number(port), host);
    let answer = "";
    socket.on("data", (data) => {
      answer += data;
    });
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.write(`POST ${path} HTTP/1.1\r\nhost: ${listener.address}\r\n${rest}`);
    const isHead = !rest.includes("\r\n\r\n");
    if (isHead) await fetch(`${listener.url}/livez`);
    await until("it is served", () => asked() > 0);
    await listener.stop();
    await closed;
    expect(answer).toContain(told);
    expect(answer === "").toBe(isHead);
  });
});

test.each([
  ["Put", "application/proto"],
  ["WatchLog", "application/connect+proto"],
])("half of %s over HTTP/2 is told that the node stops", async (method, type) => {
  const { listener, asked } = serving(never);
  const session = connectHttp2(listener.url);
  session.on("error", () => {}); // its end is what is waited for
  const headers = { ":method": "POST", ":path": `${SERVICE}/${method}`, "content-type": type };
  const stream = session.request(headers);
  let answer = "";
  stream.on("data", (data) => {
    answer += data;
  });
  const closed = new Promise((resolve) => stream.on("close", resolve));
  stream.write(new Uint8Array([0, 0]));
  await until("it is served", () => asked() > 0);
  await listener.stop();
  await closed;
  expect(answer).toContain("is stopping");
  session.destroy();
});

test.each(["Put", "WatchLog", "StreamToLeader", "SpillWrite"])(
  "half of %s over gRPC ends with UNAVAILABLE at once, and holds no stop up",
  async (method) => {
    await using kit = await GrpcKit.serving({ put: never }, {}, clock);
    const session = connectHttp2(`http://${kit.listener.address}`);
    const headers = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
    const stream = session.request({ ...headers, ":path": `${SERVICE}/${method}` });
    const status = new Promise((resolve) =>
      stream.on("trailers", (trailers) => resolve(trailers["grpc-status"])),
    );
    stream.resume().write(new Uint8Array([0, 0]));
    await new Promise((resolve) => session.ping(() => resolve(null))); // behind it
    await kit.listener.stop();
    expect(await status).toBe("14");
    session.destroy();
  },
);

test("handlers that run finish, beside half of a request", async () => {
  const written = Promise.withResolvers<{ id: string; timestamp: number }>();
  let running = false;
  const { listener, asked } = serving(() => {
    running = true;
    return written.promise;
  });
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host).resume();
  const head = `POST ${SERVICE}/Put HTTP/1.1\r\nhost: ${listener.address}\r\n`;
  socket.write(`${head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{`);
  await until("half is served", () => asked() === 1);
  const whole = fetch(`${listener.url}${SERVICE}/Put`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"key": "k", "value": "v"}',
  });
  await until("it runs", () => running);
  const halfEnded = new Promise((resolve) => socket.on("close", resolve));
  const stopped = listener.stop();
  await halfEnded; // while the other runs
  written.resolve({ id: "one", timestamp: 1 });
  expect(await (await whole).json()).toMatchObject({ id: "one" });
  await stopped;
});
