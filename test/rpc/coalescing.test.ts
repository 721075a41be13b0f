import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import {
  type BatchReply,
  BatchRequestSchema,
  BatchResponseSchema,
} from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { MAX_CALL_BYTES } from "../../src/rpc/limits.ts";
import { type PeerRoute, serve } from "../../src/rpc/port.ts";
import {
  addressOf,
  announce,
  bytes,
  deliver,
  deliverRoute,
  echo,
  listen,
  peers,
} from "./kit/nodes.ts";
import { failureOf, until } from "./kit/wait.ts";

/** A plain-text listener that notes the path of each request. */
function counted(routes: readonly PeerRoute[]) {
  const listener = listen({ routes, batched: [deliver] });
  const requests: string[] = [];
  const front = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      requests.push(pathname.split("/").at(-1) as string);
      const { headers, method } = request;
      const body = await request.bytes();
      return fetch(`http://${addressOf(listener)}${pathname}`, { method, headers, body });
    },
  });
  const address = `127.0.0.1:${front.port}`;
  return { requests, address, close: () => front.stop(true) };
}

test("calls of one tick travel in one request, and each gets its own reply", async () => {
  const { requests, address, close } = counted([echo]);
  const clients = peers({ batched: [deliver] });
  const texts = Array.from({ length: 20 }, (_, i) => `call ${i}`);
  const replies = await Promise.all(
    texts.map((text) => clients.unary(address, deliver, { data: bytes(text) })),
  );
  expect(replies.map(({ data }) => Buffer.from(data).toString())).toEqual(texts);
  expect(requests).toEqual(["Batch"]);
  await close();
});

test("a call alone goes by its own route", async () => {
  const { requests, address, close } = counted([echo]);
  const clients = peers({ batched: [deliver] });
  await clients.unary(address, deliver, {});
  await clients.unary(address, deliver, {});
  expect(requests).toEqual(["Deliver", "Deliver"]);
  await close();
});

test("calls that come while four requests are under way wait, and then travel together", async () => {
  const gate = Promise.withResolvers<void>();
  const route = deliverRoute(async ({ data }) => {
    await gate.promise;
    return { data };
  });
  const { requests, address, close } = counted([route]);
  const clients = peers({ batched: [deliver] });
  const calls: Promise<unknown>[] = [];
  for (let i = 1; i <= 4; i++) {
    calls.push(clients.unary(address, deliver, { data: bytes(`${i}`) }));
    await until("it is under way", () => requests.length === i);
  }
  for (let i = 0; i < 10; i++) {
    calls.push(clients.unary(address, deliver, { data: bytes("late") }));
    await Promise.resolve();
  }
  expect(requests).toHaveLength(4);
  gate.resolve();
  await Promise.all(calls);
  expect(requests).toEqual(["Deliver", "Deliver", "Deliver", "Deliver", "Batch"]);
  await close();
});

test("calls that may take long never travel with others, and do not hold them up", async () => {
  const gate = Promise.withResolvers<void>();
  const slow = serve(announce, async () => {
    await gate.promise;
    return {};
  });
  const { requests, address, close } = counted([echo, slow]);
  const clients = peers({ batched: [deliver] });
  const waiting = [1, 2, 3].map(() => clients.unary(address, announce, {}));
  await Promise.all([1, 2].map(() => clients.unary(address, deliver, {})));
  expect(requests.toSorted()).toEqual(["Announce", "Announce", "Announce", "Batch"]);
  gate.resolve();
  await Promise.all(waiting);
  await close();
});

test("each call of a batch has its own error and its own deadline", async () => {
  const hang = Promise.withResolvers<void>();
  const route = deliverRoute(async ({ data }) => {
    const text = Buffer.from(data).toString();
    if (text === "refuse") throw new HedgerowError("conflict", "another value");
    if (text === "break") throw new Error("secret");
    if (text === "hang") await hang.promise;
    return { data };
  });
  const { requests, address, close } = counted([route]);
  const clients = peers({ batched: [deliver] });
  const call = (text: string, timeoutMs: number) =>
    clients.unary(address, deliver, { data: bytes(text) }, { timeoutMs });
  const [good, refused, broken, hung] = await Promise.allSettled([
    call("good", 2_000),
    call("refuse", 2_000),
    call("break", 2_000),
    call("hang", 100),
  ]);
  expect(good.status).toBe("fulfilled");
  expect(refused).toMatchObject({ reason: { code: "conflict", message: "another value" } });
  expect(broken).toMatchObject({ reason: { code: "internal", message: "internal error" } });
  expect(hung).toMatchObject({ reason: { code: "timeout" } });
  expect(requests).toEqual(["Batch"]);
  hang.resolve();
  await close();
});

test("a call that its caller gives up is gone from the queue; the others of its batch are not", async () => {
  const seen: string[] = [];
  const gate = Promise.withResolvers<void>();
  const route = deliverRoute(async ({ data }) => {
    seen.push(Buffer.from(data).toString());
    await gate.promise;
    return {};
  });
  const { requests, address, close } = counted([route]);
  const clients = peers({ batched: [deliver] });
  const giveUp = new AbortController();
  const call = (text: string, options = {}) =>
    clients.unary(address, deliver, { data: bytes(text) }, options);
  const first: Promise<unknown>[] = [];
  for (let i = 1; i <= 4; i++) {
    first.push(call(`first ${i}`));
    await until("it is under way", () => requests.length === i);
  }
  const cancelled = failureOf(call("cancelled", { signal: giveUp.signal }));
  const expired = failureOf(call("expired", { timeoutMs: 30 }));
  const kept = call("kept");
  await Promise.resolve();
  giveUp.abort();
  expect(await cancelled).toMatchObject({ code: "canceled" });
  expect(await expired).toMatchObject({ code: "timeout" });
  gate.resolve();
  await Promise.all([...first, kept]);
  expect(seen.toSorted()).toEqual(["first 1", "first 2", "first 3", "first 4", "kept"]);
  await close();
});

test("a request that nobody waits for any more is given up", async () => {
  const { promise: never } = Promise.withResolvers<void>();
  let asked = false;
  let aborted = false;
  const front = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      asked = true;
      request.signal.addEventListener("abort", () => {
        aborted = true;
      });
      await never;
      return new Response();
    },
  });
  const clients = peers({ batched: [deliver] });
  const address = `127.0.0.1:${front.port}`;
  const leaving = [new AbortController(), new AbortController()];
  const calls = leaving.map(({ signal }) =>
    failureOf(clients.unary(address, deliver, {}, { signal })),
  );
  await until("it is there", () => asked);
  leaving[0]?.abort();
  await calls[0];
  expect(aborted).toBe(false);
  leaving[1]?.abort();
  await calls[1];
  await until("the request is cut", () => aborted);
  await front.stop(true);
});

test("large calls are spread over several requests", async () => {
  const { requests, address, close } = counted([echo]);
  const clients = peers({ batched: [deliver] });
  const data = new Uint8Array(700_000);
  const replies = await Promise.all([1, 2, 3].map(() => clients.unary(address, deliver, { data })));
  expect(replies.map((reply) => reply.data.length)).toEqual([700_000, 700_000, 700_000]);
  expect(requests).toEqual(["Deliver", "Deliver", "Deliver"]);
  await close();
});

/** What the listener answers to calls in a batch that this test wrote itself. */
async function batchOf(
  routes: readonly PeerRoute[],
  calls: readonly { method: string; message?: Uint8Array; timeoutMs?: number }[],
): Promise<BatchReply[]> {
  const request = create(BatchRequestSchema, {
    calls: calls.map((call) => ({ timeoutMs: 1_000, ...call })),
  });
  const body = toBinary(BatchRequestSchema, request);
  const response = await fetch(
    `http://${addressOf(listen({ routes, batched: [deliver] }))}/hedgerow.v1.PeerService/Batch`,
    { method: "POST", body, headers: { "content-type": "application/proto" } },
  );
  expect(response.status).toBe(200);
  return fromBinary(BatchResponseSchema, await response.bytes()).replies;
}

test("C6: in a batch, what may not travel there and what is malformed fails alone", async () => {
  const notBatched = serve(announce, async () => ({}));
  const method = "hedgerow.v1.PeerService/Deliver";
  const replies = await batchOf(
    [echo, notBatched],
    [
      { method },
      { method: "hedgerow.v1.PeerService/Announce" },
      { method: "hedgerow.v1.PeerService/Batch" },
      { method: "hedgerow.v1.PeerService/Nothing" },
      { method, message: bytes("\xff\xff") },
      { method, timeoutMs: 0 },
    ],
  );
  const codes = replies.map(({ outcome }) =>
    outcome.case === "error" ? outcome.value.code : outcome.case,
  );
  expect(codes.slice(0, 5)).toEqual([
    "message",
    "not_found",
    "not_found",
    "not_found",
    "invalid_argument",
  ]);
});

test("C7: replies that no longer fit beside the others are refused alone", async () => {
  const large = deliverRoute(async ({ data }) => ({
    data: new Uint8Array(data.length === 0 ? 10 : MAX_CALL_BYTES / 2),
  }));
  const method = "hedgerow.v1.PeerService/Deliver";
  const message = bytes("\x0a\x01x");
  const replies = await batchOf([large], [{ method, message }, { method, message }, { method }]);
  const outcomes = replies.map(({ outcome }) =>
    outcome.case === "error" ? outcome.value.code : outcome.case,
  );
  expect(outcomes).toEqual(["message", "too_large", "message"]);
});
