import { expect, test } from "bun:test";
import { createClient } from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { HttpListener } from "../../src/http/listener.ts";
import type * as api from "../../src/node/api.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { createTransport } from "../../src/rpc/transport.ts";
import { atEnd, bytes, runtime } from "../rpc/kit/nodes.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";
import { appKit } from "./app-kit.ts";
import { fakeNode } from "./fake-node.ts";

const { clock } = runtime;

/** A client of a listener that serves this node. */
function clientOf(replaced: Partial<api.HedgerowNode>) {
  const listener = new HttpListener({ address: "127.0.0.1:0", clock });
  atEnd(() => listener.stop());
  const node = fakeNode(replaced);
  listener.serve(
    createHttpApp({
      node,
      api: createClientApi(node, clock),
      hostname: "pod-1",
      rules: { boundHost: listener.host, hosts: [], origins: [] },
      logger: silentLogger,
      clock,
    }),
  );
  const transport = createTransport({ clock, baseUrl: `http://${listener.address}` });
  return { client: createClient(HedgerowService, transport), listener };
}

type Part =
  | { case: "data"; value: Uint8Array<ArrayBuffer> }
  | { case: "open"; value: { metadata?: Record<string, string>; skipSelf?: boolean } };

async function* parts(...all: (Part | string)[]) {
  for (const part of all) {
    yield typeof part === "string"
      ? { part: { case: "data" as const, value: bytes(part) } }
      : { part };
  }
}

async function codeOf(stream: AsyncIterable<unknown>): Promise<string> {
  const error = await failureOf(Array.fromAsync(stream));
  return fromConnectError(error as never).code;
}

const text = (data: Uint8Array) => Buffer.from(data).toString();

test("a stream to the leader: replies come while the input goes on; the opening names metadata", async () => {
  let given: api.StreamOptions | undefined;
  const { client } = clientOf({
    async *streamToLeader(input, options) {
      given = options;
      for await (const data of input) yield Buffer.from(`got ${text(data as Uint8Array)}`);
    },
  });
  let next = Promise.withResolvers<void>();
  async function* input() {
    yield* parts({ case: "open", value: { metadata: { purpose: "test" } } });
    for (let i = 0; i < 3; i++) {
      yield* parts(`${i}`);
      await next.promise;
      next = Promise.withResolvers();
    }
  }
  const replies: string[] = [];
  for await (const { data } of client.streamToLeader(input())) {
    replies.push(text(data));
    next.resolve();
  }
  expect(replies).toEqual(["got 0", "got 1", "got 2"]);
  expect(given?.metadata).toEqual({ purpose: "test" });
});

test("no input is an empty stream; an opening after data is refused", async () => {
  const { client } = clientOf({});
  expect(await Array.fromAsync(client.streamToLeader(parts()))).toEqual([]);
  const late = parts("first", { case: "open", value: {} });
  expect(await codeOf(client.streamToLeader(late))).toBe("invalid_argument");
});

test("errors of the stream come with their code and the leader's address", async () => {
  const leader = { address: "10.0.0.9:8080", token: 7, released: false };
  const { client } = clientOf({
    // biome-ignore lint/correctness/useYield: it fails before its first reply
    async *streamToLeader() {
      throw new HedgerowError("not_leader", "gone", { leader });
    },
  });
  const error = await failureOf(Array.fromAsync(client.streamToLeader(parts("x"))));
  expect(fromConnectError(error as never)).toMatchObject({ code: "not_leader", leader });
});

test("a client that leaves ends the node's stream", async () => {
  let signal: AbortSignal | undefined;
  const { client } = clientOf({
    async *streamToLeader(input, options) {
      signal = options?.signal;
      for await (const data of input) yield data as Uint8Array;
    },
  });
  async function* endless() {
    for (;;) {
      yield* parts("x");
      await Bun.sleep(5);
    }
  }
  const leave = new AbortController(); // Connect's client goes on after a mere `break`
  const replies = client.streamToLeader(endless(), { signal: leave.signal });
  await replies[Symbol.asyncIterator]().next();
  leave.abort();
  await until("the node is told", () => signal?.aborted === true);
});

test("a broadcast stream names the member of each reply, and the code of one that failed", async () => {
  let given: api.StreamBroadcastOptions | undefined;
  const { client } = clientOf({
    async *streamBroadcast(_, options) {
      given = options;
      yield { node: "a", data: bytes("x") };
      yield { node: "b", error: new HedgerowError("handler_failed", "broken") };
    },
  });
  const open = parts({ case: "open", value: { skipSelf: true } }, "x");
  const outcomes = await Array.fromAsync(client.streamBroadcast(open));
  expect(outcomes.map(({ node, outcome }) => [node, outcome.case])).toEqual([
    ["a", "data"],
    ["b", "failure"],
  ]);
  expect(outcomes[1]?.outcome.value).toMatchObject({ code: "handler_failed", message: "broken" });
  expect(given).toMatchObject({ skipSelf: true });
});

test("the demo's endpoints say OK, or why not with a true status", async () => {
  const kit = appKit();
  expect(await kit.post("/streamsend")).toEqual({ status: 200, text: "OK" });
  expect(await kit.post("/streambroadcast", "x")).toEqual({ status: 200, text: "OK" });
  const failing = appKit({
    // biome-ignore lint/correctness/useYield: it fails before its first reply
    async *streamToLeader() {
      throw new HedgerowError("no_leader", "nobody leads");
    },
    async *streamBroadcast() {
      yield { node: "a", error: new HedgerowError("no_handler", "no handler on a") };
    },
  });
  expect(await failing.post("/streamsend")).toEqual({ status: 503, text: "nobody leads" });
  expect(await failing.post("/streambroadcast")).toEqual({ status: 501, text: "no handler on a" });
});
