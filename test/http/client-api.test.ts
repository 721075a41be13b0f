import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  universalClientRequestToFetch,
  universalClientResponseFromFetch,
} from "@connectrpc/connect/protocol";
import { createTransport as connectTransport } from "@connectrpc/connect/protocol-connect";
import { createTransport as grpcWebTransport } from "@connectrpc/connect/protocol-grpc-web";
import { HedgerowError } from "../../src/errors.ts";
import {
  HedgerowService,
  PutRequestSchema,
  PutResponseSchema,
} from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import type * as api from "../../src/node/api.ts";
import { envelope } from "../../src/rpc/envelopes.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../../src/store/limits.ts";
import { type AppKit, appKit } from "./app-kit.ts";
import { fakeNode } from "./fake-node.ts";

const JSON_TYPE = { "content-type": "application/json" };

async function callJson(kit: AppKit, method: string, request: unknown, headers = {}) {
  const response = await kit.ask(`/hedgerow.v1.HedgerowService/${method}`, {
    method: "POST",
    headers: { ...JSON_TYPE, ...headers },
    body: typeof request === "string" ? request : JSON.stringify(request),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const PROTOCOLS = { connect: connectTransport, grpcWeb: grpcWebTransport } as const;

function clientOver(kit: AppKit, protocol: keyof typeof PROTOCOLS, useBinaryFormat: boolean) {
  const transport: Transport = PROTOCOLS[protocol]({
    baseUrl: "http://127.0.0.1:9090",
    httpClient: async (request) => {
      const sent = universalClientRequestToFetch(request);
      return universalClientResponseFromFetch(await kit.ask(new URL(sent.url).pathname, sent));
    },
    useBinaryFormat,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: 64 * 1024 * 1024,
    writeMaxBytes: 64 * 1024 * 1024,
  });
  return createClient(HedgerowService, transport);
}

describe("as curl calls it", () => {
  test("Status", async () => {
    expect(await callJson(appKit(), "Status", {})).toEqual({
      status: 200,
      body: {
        node: "10.0.0.1:8080",
        leader: "10.0.0.1:8080",
        isLeader: true,
        token: "1735787045123456",
        members: [
          {
            address: "10.0.0.1:8080",
            name: "10.0.0.1:8080",
            state: "participant",
            incarnation: "1763688845123",
          },
          {
            address: "10.0.0.2:8080",
            name: "10.0.0.2:8080",
            state: "suspect",
            incarnation: "1763688845123",
          },
        ],
      },
    });
  });

  test("Put and Get, newest first, timestamps exact to the microsecond", async () => {
    const kit = appKit();
    expect((await callJson(kit, "Put", { key: "k", value: "a" })).body).toEqual({
      id: "id-0",
      timestamp: "2025-01-02T03:04:05.123456Z",
    });
    await callJson(kit, "Put", { key: "k", value: "b", id: "mine" });
    const { body } = await callJson(kit, "Get", { key: "k", limit: -1 });
    expect(body).toEqual({
      entries: [
        {
          key: "k",
          value: "b",
          timestamp: "2025-01-02T03:04:05.123457Z",
          id: "mine",
          leader: "10.0.0.1:8080",
        },
        {
          key: "k",
          value: "a",
          timestamp: "2025-01-02T03:04:05.123456Z",
          id: "id-0",
          leader: "10.0.0.1:8080",
        },
      ],
    });
  });

  test("what is false or empty is there as well", async () => {
    const status = () => ({
      ...fakeNode().status(),
      node: "n",
      leader: null,
      isLeader: false,
      token: null,
      members: [],
    });
    expect((await callJson(appKit({ status }), "Status", {})).body).toEqual({
      node: "n",
      leader: "",
      isLeader: false,
      token: "",
      members: [],
    });
    expect((await callJson(appKit(), "Get", { key: "nobody" })).body).toEqual({ entries: [] });
  });

  test("Send carries bytes", async () => {
    const { body } = await callJson(appKit(), "Send", {
      data: Buffer.from("hi").toString("base64"),
    });
    expect(Buffer.from(String(body.data), "base64").toString()).toBe("sent hi");
  });

  test.each([
    ["not JSON", "{", 400],
    ["a field of the wrong type", '{"key": 1}', 400],
    ["no object", "[]", 400],
  ])("%s is a clear error", async (_, body, status) => {
    const answer = await callJson(appKit(), "Put", body);
    expect(answer.status).toBe(status);
    expect(answer.body.code).toBe("invalid_argument");
  });

  test("a field whose value does not fit is named", async () => {
    const wrong = await callJson(appKit(), "Put", { key: "k", value: 7 });
    expect(wrong.status).toBe(400);
    expect(wrong.body.message).toBe("PutRequest: field value cannot hold what it is given");
  });

  test("a field that does not exist is named, and nothing is written", async () => {
    const kit = appKit();
    const typo = await callJson(kit, "Put", { key: "k", valeu: "typo" });
    expect([typo.status, typo.body.code]).toEqual([400, "invalid_argument"]);
    expect(typo.body.message).toBe('PutRequest has no field "valeu"');
    const inside = await callJson(kit, "Put", { key: "k", fence: { name: "l", tokn: "1" } });
    expect(inside.body.message).toBe('Fence has no field "tokn"');
    expect((await callJson(kit, "Get", { key: "k" })).body).toEqual({ entries: [] });
    expect((await callJson(kit, "Put", { key: "k", no_append: true })).status).toBe(200);
  });

  test("a stream's request with a field that does not exist is refused", async () => {
    const request = new TextEncoder().encode('{"skipSlef": true}');
    const response = await appKit().ask("/hedgerow.v1.HedgerowService/Broadcast", {
      method: "POST",
      headers: { "content-type": "application/connect+json" },
      body: envelope(request),
    });
    const { error } = JSON.parse((await response.text()).slice(5));
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toContain("skipSlef");
  });

  test("an unknown method and a wrong content type are refused", async () => {
    expect((await callJson(appKit(), "Nope", {})).status).toBe(404);
    const { ask } = appKit();
    const response = await ask("/hedgerow.v1.HedgerowService/Status", {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "{}",
    });
    expect(response.status).toBe(415);
  });

  test("the largest value passes in JSON although its text is six times as long", async () => {
    let bytes = 0;
    const put = async (_: string, value: string) => {
      bytes = value.length;
      return { id: "x", timestamp: 1 };
    };
    const value = "\u0001".repeat(MAX_VALUE_BYTES);
    const key = "k".repeat(MAX_KEY_BYTES);
    expect((await callJson(appKit({ put }), "Put", { key, value })).status).toBe(200);
    expect(bytes).toBe(MAX_VALUE_BYTES);
  });

  test("a body over the limit is refused", async () => {
    const { status, body } = await callJson(
      appKit(),
      "Put",
      " ".repeat(6 * MAX_VALUE_BYTES + 65_537),
    );
    expect(status).toBe(413);
    expect(body.code).toBe("resource_exhausted");
  });
});

test("unary calls work in plain protobuf", async () => {
  const response = await appKit().ask("/hedgerow.v1.HedgerowService/Put", {
    method: "POST",
    headers: { "content-type": "application/proto" },
    body: toBinary(PutRequestSchema, create(PutRequestSchema, { key: "k", value: "v" })),
  });
  const reply = fromBinary(PutResponseSchema, await response.bytes());
  expect(reply.timestamp?.nanos).toBe(123_456_000);
});

describe.each([
  ["connect", true],
  ["connect", false],
  ["grpcWeb", true],
  ["grpcWeb", false],
] as const)("%s, binary %p", (protocol, binary) => {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

  test("unary and stream", async () => {
    const client = clientOver(appKit(), protocol, binary);
    await client.put({ key: "k", value: "v" });
    const { entries } = await client.get({ key: "k" });
    expect(entries.map((entry) => entry.value)).toEqual(["v"]);
    const replies: unknown[] = [];
    for await (const { node, outcome } of client.broadcast({ data: Buffer.from("m") })) {
      replies.push([node, outcome.case, text(outcome.value as Uint8Array)]);
    }
    expect(replies).toEqual([
      ["10.0.0.1:8080", "data", "10.0.0.1:8080 m"],
      ["10.0.0.2:8080", "data", "10.0.0.2:8080 m"],
    ]);
  });

  test("errors carry our code, the leader and the retry delay", async () => {
    const leader = { address: "10.0.0.9:8080", token: 7, released: false };
    const put = async () => {
      throw new HedgerowError("not_leader", "ask the leader", { leader, retryDelayMs: 250 });
    };
    const client = clientOver(appKit({ put }), protocol, binary);
    const error = fromConnectError(await client.put({ key: "k" }).catch((thrown) => thrown));
    expect([error.code, error.message]).toEqual(["not_leader", "ask the leader"]);
    expect(error.leader).toEqual(leader);
    expect(error.retryDelayMs).toBe(250);
  });

  test("conditions of a put reach the node, and a conflict names the newest version", async () => {
    const seen: unknown[] = [];
    const put = async (_key: string, _value: string, options: api.PutOptions = {}) => {
      const { ifVersion, fence } = options;
      seen.push({ ifVersion, ...(fence && { fence: { name: fence.name, token: fence.token } }) });
      if (ifVersion === "old") throw new HedgerowError("conflict", "newer", { current: "new" });
      return { id: "1", timestamp: 1 };
    };
    const client = clientOver(appKit({ put }), protocol, binary);
    const fence = { name: "l", token: "1735787045123456" };
    await client.put({ key: "k", value: "v" });
    await client.put({ key: "k", value: "v", ifVersion: "" });
    await client.put({ key: "k", value: "v", fence });
    const refused = await client
      .put({ key: "k", value: "v", ifVersion: "old" })
      .catch((thrown) => fromConnectError(thrown));
    expect(refused).toMatchObject({ code: "conflict", current: "new" });
    expect(seen).toEqual([
      { ifVersion: undefined },
      { ifVersion: "" },
      { ifVersion: undefined, fence },
      { ifVersion: "old" },
    ]);
  });

  test("a watch gives versions as they come, until its caller leaves", async () => {
    const ended = Promise.withResolvers<void>();
    const asked: unknown[] = [];
    async function* watch(key: string, { fromId, signal }: api.WatchOptions = {}) {
      asked.push([key, fromId]);
      const version = {
        key,
        value: "v",
        leader: "10.0.0.1:8080",
        timestamp: 1_735_787_045_123_456,
      };
      yield { ...version, id: "1" };
      yield { ...version, id: "2" };
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
      ended.resolve();
    }
    const client = clientOver(appKit({ watch }), protocol, binary);
    const leaving = new AbortController();
    const ids: unknown[] = [];
    const left = await (async () => {
      const call = { signal: leaving.signal };
      for await (const { entry } of client.watchLog({ key: "k", fromId: "" }, call)) {
        expect(entry?.timestamp).toMatchObject({ seconds: 1_735_787_045n, nanos: 123_456_000 });
        if (ids.push(entry?.id) === 2) leaving.abort();
      }
    })().catch((thrown) => fromConnectError(thrown).code);
    await ended.promise;
    expect([asked, ids, left]).toEqual([[["k", ""]], ["1", "2"], "canceled"]);
  });

  test("a watch that cannot go on says why", async () => {
    async function* watch(): AsyncGenerator<never> {
      yield* [];
      throw new HedgerowError("expired", "versions were removed");
    }
    const client = clientOver(appKit({ watch }), protocol, binary);
    const broken = await Array.fromAsync(client.watchLog({ key: "k" })).catch((thrown) =>
      fromConnectError(thrown),
    );
    expect(broken).toMatchObject({ code: "expired", message: "versions were removed" });
  });

  test("a failed member is a reply, a failed broadcast an error", async () => {
    async function* broadcastStream(): AsyncIterable<api.BroadcastReply> {
      yield { node: "10.0.0.2:8080", error: new HedgerowError("unavailable", "no answer") };
      throw new HedgerowError("stopped", "the node is stopping");
    }
    const client = clientOver(appKit({ broadcastStream }), protocol, binary);
    const outcomes: unknown[] = [];
    const broken = await (async () => {
      for await (const { outcome } of client.broadcast({})) outcomes.push(outcome);
    })().catch((thrown) => fromConnectError(thrown).code);
    expect(outcomes).toEqual([{ case: "error", value: "no answer" }]);
    expect(broken).toBe("stopped");
  });

  test("the caller's deadline reaches the node", async () => {
    let timeoutMs = 0;
    const put = async (_key: string, _value: string, options?: api.PutOptions) => {
      timeoutMs = options?.timeoutMs ?? 0;
      return { id: "x", timestamp: 1 };
    };
    await clientOver(appKit({ put }), protocol, binary).put({ key: "k" }, { timeoutMs: 4321 });
    expect(timeoutMs).toBeGreaterThan(4000);
    expect(timeoutMs).toBeLessThanOrEqual(4321);
  });
});

test.each([
  ["Broadcast", "application/json", "application/connect+json"],
  ["Broadcast", null, "application/connect+json"],
  ["Send", "text/plain", "application/json"],
  ["Send", "application/grpc", "application/json"],
])("%s as %p is refused with the types that it takes", async (method, given, accepted) => {
  const response = await appKit().ask(`/hedgerow.v1.HedgerowService/${method}`, {
    method: "POST",
    headers: given === null ? {} : { "content-type": given },
    body: Buffer.from("{}"),
  });
  expect(response.status).toBe(415);
  expect(response.headers.get("accept-post")).toStartWith(`${accepted}, `);
  const text = await response.text();
  expect(text).toMatch(/^[^\n]+\n$/);
  expect(text).toContain(given ?? "no content-type");
  expect(text).toContain(`send one of ${accepted}, `);
});

test("C11: what a client sends is not logged, also when it is refused", async () => {
  const put = async () => {
    throw new Error("secret inside");
  };
  const kit = appKit({ put });
  await callJson(kit, "Put", '{"key": "secret-key", "value": 5}');
  await callJson(kit, "Send", { data: Buffer.from("secret").toString("base64") });
  await callJson(kit, "Get", { key: "secret-key" });
  expect(kit.logged.length).toBeGreaterThan(0);
  expect(kit.logged.join()).not.toContain("secret-key");
  const { body } = await callJson(kit, "Put", { key: "k", value: "v" });
  expect(body.message).toBe("internal error");
});
