import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { expect, test } from "bun:test";
import { QUIET_MS } from "../../../src/http/grpc/connections.ts";
import { GrpcListener } from "../../../src/http/grpc/listener.ts";
import { ManualClock } from "../../rpc/kit/clock.ts";
import { until } from "../../rpc/kit/wait.ts";

async function listening() {
  const clock = new ManualClock();
  const listener = await GrpcListener.open({ address: "127.0.0.1:0", clock });
  let open = 0;
  listener.serve({
    async handle(request, response) {
      if (request.url === "/quick") return void response.end("done");
      open++;
      response.on("close", () => open--);
      response.write("first");
    },
    stop() {},
  });
  return { clock, listener, open: () => open };
}

const dial = (listener: GrpcListener) => connect(`http://${listener.address}`);

function silent({ address }: GrpcListener): Socket {
  const [host, port] = address.split(":");
  return connectTcp(Number(port), host).on("error", () => {}); // told by its close
}

function ask(session: ClientHttp2Session, path: string) {
  const stream = session.request({ ":path": path });
  stream.on("error", () => {}); // cut off at the end
  return stream.resume();
}

test("connections on which nothing is under way end after a while, also those that say nothing", async () => {
  const { clock, listener, open } = await listening();
  const mute = silent(listener).resume();
  await new Promise((resolve) => mute.on("connect", resolve));
  const [quiet, busy] = [dial(listener), dial(listener)];
  await new Promise((resolve) => ask(quiet, "/quick").on("close", resolve));
  const goneAway = Promise.withResolvers<number>();
  quiet.on("goaway", goneAway.resolve);
  const first = new Promise((resolve) => ask(busy, "/stream").on("data", resolve));
  await first;
  const muteClosed = new Promise((resolve) => mute.on("close", resolve));
  clock.pass(QUIET_MS / 2);
  expect([quiet.closed, busy.closed, mute.closed]).toEqual([false, false, false]);
  clock.pass(QUIET_MS);
  expect(await goneAway.promise).toBe(0); // NO_ERROR
  await muteClosed;
  expect(open()).toBe(1);
  expect(busy.closed).toBe(false);
  busy.destroy();
  await until("its stream has ended", () => open() === 0);
  const stopped = listener.stop();
  clock.pass(QUIET_MS);
  await stopped;
});

test("no timer is left by a stop, nor by the last connection", async () => {
  const { clock, listener } = await listening();
  const only = dial(listener);
  await new Promise((resolve) => ask(only, "/quick").on("close", resolve));
  expect(clock.timers.size).toBe(1);
  clock.pass(2 * QUIET_MS);
  await until("it has ended", () => only.destroyed);
  clock.pass(QUIET_MS);
  expect(clock.timers.size).toBe(0);
  const again = dial(listener);
  await new Promise((resolve) => ask(again, "/quick").on("close", resolve));
  await listener.stop();
  expect(clock.timers.size).toBe(0);
});
