import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { MAX_CALL_BYTES } from "../../src/rpc/limits.ts";
import { TestCluster } from "./kit/cluster.ts";
import {
  addressOf,
  bytes,
  deliver,
  deliverRoute,
  echo,
  listen,
  peers,
  RecordingLogger,
} from "./kit/nodes.ts";
import { freePort, rawServer } from "./kit/sockets.ts";
import { failureOf, until } from "./kit/wait.ts";

const cluster = new TestCluster();
const SECURE = [false, true];
const tlsOf = (secure: boolean, name: string) => (secure ? cluster.member(name) : null);

test.each(SECURE)("a call brings its message there and the reply back (TLS %p)", async (secure) => {
  const listener = listen({ tls: tlsOf(secure, "s"), routes: [echo] });
  const material = tlsOf(secure, "c");
  const clients = peers({ tls: () => material });
  for (const data of [new Uint8Array(), bytes("x"), new Uint8Array(4 * 1024 * 1024)]) {
    const reply = await clients.unary(addressOf(listener), deliver, { data });
    expect(Buffer.compare(reply.data, data)).toBe(0);
  }
});

test("the other node's error arrives as it was thrown", async () => {
  const leader = { address: "10.0.0.1:8080", token: 9, released: true };
  const route = deliverRoute(async () => {
    throw new HedgerowError("not_leader", "I am not it", { leader, retryDelayMs: 40 });
  });
  const address = addressOf(listen({ routes: [route] }));
  const error = await failureOf(peers().unary(address, deliver, {}));
  expect(error).toBeInstanceOf(HedgerowError);
  expect(error).toMatchObject({
    code: "not_leader",
    message: "I am not it",
    leader,
    retryDelayMs: 40,
  });
});

test("what cannot be sent is the caller's error, and nothing is sent", async () => {
  const silent = rawServer();
  const clients = peers();
  const call = (to: string, request: object) => failureOf(clients.unary(to, deliver, request));
  expect(await call("no address", {})).toMatchObject({ code: "invalid_argument" });
  expect(await call("user@host:80/path", {})).toMatchObject({ code: "invalid_argument" });
  expect(await call(silent.address, { data: 5 })).toMatchObject({ code: "invalid_argument" });
  const large = { data: new Uint8Array(MAX_CALL_BYTES) };
  expect(await call(silent.address, large)).toMatchObject({ code: "too_large" });
  expect(silent.connections()).toBe(0);
});

test("where calls may be large, two that are larger than all that may wait pass side by side", async () => {
  const maxCallBytes = 33 * 1024 * 1024;
  const address = addressOf(listen({ routes: [echo], maxCallBytes }));
  const clients = peers({ maxCallBytes });
  const data = new Uint8Array(32 * 1024 * 1024);
  const replies = await Promise.all([1, 2].map(() => clients.unary(address, deliver, { data })));
  expect(replies.map((reply) => reply.data.length)).toEqual([data.length, data.length]);
  const over = { data: new Uint8Array(maxCallBytes) };
  expect(await failureOf(clients.unary(address, deliver, over))).toMatchObject({
    code: "too_large",
  });
});

test("nobody there: surely not executed; broken in mid-call: unknown", async () => {
  const clients = peers();
  const nobody = `127.0.0.1:${freePort()}`;
  const refused = await failureOf(clients.unary(nobody, deliver, {}));
  expect(refused).toMatchObject({ code: "unavailable" });
  const breaking = rawServer((socket) => void socket.end());
  const broken = await failureOf(clients.unary(breaking.address, deliver, {}));
  expect(broken).toMatchObject({ code: "outcome_unknown" });
});

test("a reply that is malformed, endless or not Connect's leaves the outcome unknown", async () => {
  const answer = (head: string, body: string) =>
    rawServer((socket) => void socket.write(`HTTP/1.1 ${head}\r\n\r\n${body}`)).address;
  const clients = peers();
  const malformed = answer("200 OK\r\ncontent-length: 3", "\xff\xff\xff");
  expect(await failureOf(clients.unary(malformed, deliver, {}))).toMatchObject({
    code: "outcome_unknown",
  });
  const proxy = answer("502 Bad Gateway\r\ncontent-length: 6", "<html>");
  expect(await failureOf(clients.unary(proxy, deliver, {}))).toMatchObject({
    code: "outcome_unknown",
  });
  const huge = answer(`200 OK\r\ncontent-length: ${MAX_CALL_BYTES + 1}`, "x");
  expect(await failureOf(clients.unary(huge, deliver, {}))).toMatchObject({
    code: "outcome_unknown",
  });
});

test("a batch's answer that is malformed leaves the outcome unknown, of those calls that it concerns", async () => {
  const good = "\x0a\x02\x0a\x00"; // a reply, empty
  const answer = async (body: string) => {
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`;
    const peer = rawServer((socket) => void socket.write(Buffer.from(head + body, "latin1")));
    const clients = peers({ batched: [deliver] });
    const calls = [1, 2].map(() => clients.unary(peer.address, deliver, {}));
    const ends = await Promise.allSettled(calls);
    return ends.map((end) =>
      end.status === "fulfilled" ? "reply" : (end.reason as HedgerowError).code,
    );
  };
  expect(await answer("\xff\xff")).toEqual(["outcome_unknown", "outcome_unknown"]);
  expect(await answer(good)).toEqual(["reply", "outcome_unknown"]);
  expect(await answer(`${good}\x0a\x00`)).toEqual(["reply", "outcome_unknown"]);
  // An error that is not one: its field is longer than what is there. Then a reply.
  expect(await answer(`\x0a\x04\x12\x02\x0a\x09${good}`)).toEqual(["outcome_unknown", "reply"]);
  const refused = "\x0a\x0c\x12\x0a\x0a\x08conflict";
  expect(await answer(refused + good)).toEqual(["conflict", "reply"]);
});

test("the caller's signal and the deadline each end a call, which its handler hears", async () => {
  let started = 0;
  const ended: unknown[] = [];
  const route = deliverRoute((_, { signal }) => {
    started++;
    signal?.addEventListener("abort", () => ended.push(signal.reason));
    return new Promise(() => {});
  });
  const address = addressOf(listen({ routes: [route] }));
  const clients = peers();
  const timeout = await failureOf(clients.unary(address, deliver, {}, { timeoutMs: 1_000 }));
  expect(timeout).toMatchObject({ code: "timeout" });
  expect((timeout as Error).message).toMatch(/^Deliver to .*: no answer within 1000 ms$/);
  const controller = new AbortController();
  const call = failureOf(clients.unary(address, deliver, {}, { signal: controller.signal }));
  await until("the deadline was heard", () => ended.length === 1);
  await until("the second call runs", () => started === 2);
  controller.abort();
  expect(await call).toMatchObject({ code: "canceled" });
  await until("the cancellation was heard", () => ended.length === 2);
  const before = AbortSignal.abort(new HedgerowError("stopped", "the node is stopping"));
  const late = await failureOf(clients.unary(address, deliver, {}, { signal: before }));
  expect(late).toMatchObject({ code: "stopped" });
});

test("C2: a peer that never answers costs its own callers their deadline, and nobody else", async () => {
  const hung = rawServer();
  const healthy = addressOf(listen({ routes: [echo] }));
  const clients = peers();
  let ended = 0;
  const call = (timeoutMs: number) =>
    failureOf(clients.unary(hung.address, deliver, {}, { timeoutMs })).finally(() => ended++);
  const stuck = Array.from({ length: 100 }, () => call(4_000));
  const short = Array.from({ length: 200 }, () => call(500));
  await until("it hangs", () => hung.connections() > 0);
  for (const error of await Promise.all(short)) expect(error).toMatchObject({ code: "timeout" });
  for (let i = 0; i < 50; i++) await clients.unary(healthy, deliver, { data: bytes("x") });
  expect(ended).toBe(200);
  // Those whose deadline passed while they waited were never sent.
  expect(hung.connections()).toBeLessThan(100);
  for (const error of await Promise.all(stuck)) expect(error).toMatchObject({ code: "timeout" });
});

test("C2: many peers that never answer leave the others their share of requests", async () => {
  const hung = Array.from({ length: 12 }, () => rawServer());
  const healthy = addressOf(listen({ routes: [echo] }));
  const clients = peers();
  const stuck = hung.flatMap(({ address }) =>
    Array.from({ length: 40 }, () =>
      failureOf(clients.unary(address, deliver, {}, { timeoutMs: 3_000 })),
    ),
  );
  let ended = false;
  void Promise.race(stuck).then(() => {
    ended = true;
  });
  await until("they hang", () => hung.every(({ connections }) => connections() > 0));
  await clients.unary(healthy, deliver, { data: bytes("x") });
  expect(ended).toBe(false);
  for (const error of await Promise.all(stuck)) expect(error).toMatchObject({ code: "timeout" });
});

test("C2: too many calls that wait for one peer are refused at once", async () => {
  const hung = rawServer();
  const clients = peers();
  const calls = Array.from({ length: 5_000 }, () =>
    failureOf(clients.unary(hung.address, deliver, {}, { timeoutMs: 1_000 })),
  );
  const codes = (await Promise.all(calls)).map((error) => (error as HedgerowError).code);
  expect(codes.filter((code) => code === "overloaded").length).toBeGreaterThan(800);
  expect(codes.filter((code) => code === "timeout").length).toBeGreaterThan(4_000);
});

test.each(SECURE)(
  "forgetting a peer fails what waits; what is under way is answered (TLS %p)",
  async (secure) => {
    const gate = Promise.withResolvers<void>();
    let running = 0;
    const route = deliverRoute(async ({ data }) => {
      running++;
      await gate.promise;
      return { data };
    });
    const address = addressOf(listen({ tls: tlsOf(secure, "s"), routes: [route] }));
    const material = tlsOf(secure, "c");
    const clients = peers({ tls: () => material });
    const call = () => clients.unary(address, deliver, { data: bytes("x") });
    const calls = Array.from({ length: 60 }, call);
    await until("all that may be are under way", () => running === 48);
    clients.forget(address);
    for (const waiting of calls.slice(48)) {
      expect(await failureOf(waiting)).toMatchObject({ code: "unavailable" });
    }
    const later = call();
    await until("a later call does not wait for those before", () => running === 49);
    clients.forget(address);
    gate.resolve();
    for (const { data } of await Promise.all([...calls.slice(0, 48), later])) {
      expect(data).toEqual(bytes("x"));
    }
    clients.forget("10.0.0.1:1");
  },
);

test("a forgotten peer's calls end with their deadlines, and at close", async () => {
  const hung = rawServer();
  const clients = peers();
  const call = (timeoutMs: number) =>
    failureOf(clients.unary(hung.address, deliver, {}, { timeoutMs }));
  const [short, long] = [call(50), call(20_000)];
  await until("they are under way", () => hung.received.length === 2);
  clients.forget(hung.address);
  expect(await short).toMatchObject({ code: "timeout" });
  void clients.close();
  expect(await long).toMatchObject({ code: "outcome_unknown" });
});

test("C3: a forgotten peer's connections are closed, idle ones at once, others with their last call", async () => {
  const answer = (socket: Bun.Socket<undefined>) =>
    void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  const waiting: Bun.Socket<undefined>[] = [];
  const server = rawServer((socket, _, nth) =>
    nth === 1 ? answer(socket) : void waiting.push(socket),
  );
  const clients = peers();
  await clients.unary(server.address, deliver, {});
  expect(server.open()).toBe(1);
  clients.forget(server.address);
  await until("the idle one is closed", () => server.open() === 0);
  const call = clients.unary(server.address, deliver, {});
  await until("it is under way", () => waiting.length === 1);
  clients.forget(server.address);
  answer(waiting[0] as Bun.Socket<undefined>);
  await call;
  await until("the other is closed", () => server.open() === 0);
});

test("after close every call fails with stopped", async () => {
  const hung = rawServer();
  const clients = peers();
  const waiting = failureOf(clients.unary(hung.address, deliver, {}));
  await until("it hangs", () => hung.connections() > 0);
  void clients.close();
  void clients.close();
  expect(await waiting).toMatchObject({ code: "outcome_unknown" });
  expect(await failureOf(clients.unary(hung.address, deliver, {}))).toMatchObject({
    code: "stopped",
  });
});

test("C3: calls one after another share a connection", async () => {
  let connections = 0;
  const listener = listen({ tls: cluster.member("s"), routes: [echo] });
  const proxy = Bun.listen<{ upstream: Promise<Bun.Socket<undefined>> }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        connections++;
        const upstream = Bun.connect({
          hostname: "127.0.0.1",
          port: listener.port,
          socket: { data: (_, chunk) => void socket.write(chunk) },
        });
        socket.data = { upstream };
      },
      data: async ({ data }, chunk) => void (await data.upstream).write(new Uint8Array(chunk)),
      close: async ({ data }) => void (await data.upstream).end(),
    },
  });
  const material = cluster.member("c");
  const clients = peers({ tls: () => material });
  for (let i = 0; i < 50; i++) await clients.unary(`127.0.0.1:${proxy.port}`, deliver, {});
  proxy.stop(true);
  expect(connections).toBe(1);
});

test("a refused request's handler runs no more than once", async () => {
  const logger = new RecordingLogger();
  let calls = 0;
  const route = deliverRoute(async () => {
    calls++;
    throw new HedgerowError("unavailable", "the store is away");
  });
  const address = addressOf(listen({ routes: [route], logger }));
  await failureOf(peers().unary(address, deliver, {}));
  expect([calls, logger.lines]).toEqual([1, []]);
});
