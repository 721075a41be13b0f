import { connect } from "node:http2";
import { expect, test } from "bun:test";
import { DEFAULT_TIMEOUT_MS } from "../../src/rpc/limits.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { until } from "../rpc/kit/wait.ts";
import { appKit } from "./app-kit.ts";
import { GrpcKit } from "./grpc/grpc-kit.ts";

// Callers that send half of a request, and say no more. Health asks them for no token.

const CHECK = "/grpc.health.v1.Health/Check";

test("over gRPC, half a request ends by the time-out of a call", async () => {
  const clock = new ManualClock();
  await using kit = await GrpcKit.serving({}, { clock });
  const session = connect(`http://${kit.listener.address}`);
  const headers = { ":method": "POST", ":path": CHECK, "content-type": "application/grpc" };
  const stream = session.request({ ...headers, te: "trailers" });
  const ended = Promise.withResolvers<unknown>();
  stream.on("trailers", (trailers) => ended.resolve(trailers["grpc-status"]));
  stream.on("error", ended.reject);
  stream.resume();
  stream.write(new Uint8Array([0, 0]));
  await until("it is waited for", () => clock.timers.size > 0);
  clock.pass(DEFAULT_TIMEOUT_MS);
  expect(await ended.promise).toBe("4"); // DEADLINE_EXCEEDED
  session.destroy();
});

test.each([
  [CHECK, "application/json", "deadline_exceeded"],
  ["/hedgerow.v1.HedgerowService/WatchMembers", "application/connect+json", "deadline_exceeded"],
])("over http, half a request of %s ends by it, too", async (path, contentType, told) => {
  const clock = new ManualClock();
  const kit = appKit({}, {}, clock);
  let left = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new Uint8Array([0, 0])),
    cancel() {
      left = true;
    },
  });
  const headers = { "content-type": contentType };
  const answer = kit
    .ask(path, { method: "POST", body, headers, duplex: "half" } as RequestInit)
    .then((response) => response.text());
  await until("it is waited for", () => clock.timers.size > 0);
  clock.pass(DEFAULT_TIMEOUT_MS);
  expect(await answer).toContain(told);
  await until("the rest is not read", () => left);
});
