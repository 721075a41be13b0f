import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { accessRefusal, type Permission } from "../../src/http/access.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { GrpcListener } from "../../src/http/grpc/listener.ts";
import { createGrpcService } from "../../src/http/grpc/service.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { tokensOf } from "../../src/http/tokens.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { pathOf } from "../../src/rpc/server.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { fakeNode } from "./fake-node.ts";

const RW = "rw-0123456789abcdef";
const RO = "ro-0123456789abcdef";
const tokens = tokensOf([
  { token: RW, permission: "write" },
  { token: RO, permission: "read" },
]);
const judged = (path: string, authorization: string | null) =>
  accessRefusal(tokens, { path, authorization })?.code ?? "let in";

/** Written once more, by hand: what reading is enough for, and what it is not. */
const METHODS: readonly (readonly [keyof typeof HedgerowService.method, Permission])[] = [
  ["status", "read"],
  ["put", "write"],
  ["get", "read"],
  ["send", "write"],
  ["broadcast", "write"],
  ["streamToLeader", "write"],
  ["streamBroadcast", "write"],
  ["watchLog", "read"],
  ["watchMembers", "read"],
  ["holdLock", "write"],
  ["holdSemaphore", "write"],
  ["keepHold", "write"],
  ["acquireSemaphore", "write"],
  ["releaseSemaphore", "write"],
  ["spillWrite", "write"],
  ["spillRead", "read"],
  ["spillClose", "write"],
  ["spillStats", "read"],
];

test("every method of the client API is here", () => {
  const all = Object.keys(HedgerowService.method);
  expect(METHODS.map(([name]) => name).sort()).toEqual(all.sort() as never);
});

describe("accessRefusal", () => {
  test("without tokens nobody is asked for one", () => {
    expect(accessRefusal(null, { path: "/put", authorization: null })).toBeNull();
  });

  test.each(["/livez", "/readyz", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])(
    "the probe %s never shows one",
    (path) => {
      expect(judged(path, null)).toBe("let in");
      expect(judged(path, "Bearer wrong")).toBe("let in");
    },
  );

  test.each([
    null,
    "",
    RW,
    `Basic ${btoa(`x:${RW}`)}`,
    "Bearer",
    "Bearer  ",
    `Bearer ${RW} more`,
    `Bearer ${RW}x`,
    `Bearer ${RW.slice(0, -1)}`,
    `Bearer ${RW.toUpperCase()}`,
  ])("%p is no token of this node's", (authorization) => {
    for (const path of [
      "/put",
      "/get",
      "/metrics",
      "/none",
      "/hedgerow.v1.HedgerowService/Status",
    ]) {
      expect(judged(path, authorization)).toBe("unauthenticated");
    }
  });

  test.each(METHODS)("%s needs %s", (name, permission) => {
    const path = pathOf(HedgerowService.method[name]);
    expect(judged(path, `Bearer ${RW}`)).toBe("let in");
    expect(judged(path, `bearer ${RO}`)).toBe(permission === "read" ? "let in" : "forbidden");
  });

  test.each([
    ["/get", "let in"],
    ["/metrics", "let in"],
    ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "let in"],
    ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "let in"],
    ["/put", "forbidden"],
    ["/send", "forbidden"],
    ["/broadcast", "forbidden"],
    ["/streamsend", "forbidden"],
    ["/sos", "forbidden"],
    ["/hedgerow.v1.HedgerowService/Later", "forbidden"],
  ])("for a read-only token %s is %s", (path, outcome) => {
    expect(judged(path, `Bearer ${RO}`)).toBe(outcome);
    expect(judged(path, `Bearer ${RW}`)).toBe("let in");
  });

  test("a refusal is one line with the mend, without the token", () => {
    for (const authorization of [null, "Bearer not-the-token-at-all", `Bearer ${RO}`]) {
      const message = accessRefusal(tokens, { path: "/put", authorization })?.message ?? "";
      expect(message).toMatch(/^[^\n]+: (send the header Authorization|use one that)[^\n]+$/);
      expect(message).not.toContain("not-the-token-at-all");
      expect(message).not.toContain(RO);
    }
  });
});

describe("the client listeners", () => {
  const clock = systemClock();
  let listener: HttpListener;
  let grpc: GrpcListener;
  let done = 0;

  beforeAll(async () => {
    const node = fakeNode({
      put: async () => ({ id: String(++done), timestamp: 1 }),
      send: async () => new Uint8Array([++done]),
    });
    listener = new HttpListener({ address: "127.0.0.1:0", clock });
    grpc = await GrpcListener.open({ address: "127.0.0.1:0", clock });
    const shared = { node, api: createClientApi(node, clock), logger: silentLogger, clock };
    const rules = { boundHost: "127.0.0.1", hosts: [], origins: ["https://ui.example.com"] };
    listener.serve(createHttpApp({ ...shared, hostname: "pod-1", rules, tokens }));
    grpc.serve(createGrpcService({ ...shared, tokens }));
  });
  afterAll(async () => {
    await listener.stop();
    await grpc.stop();
  });

  const web = () => ({ baseUrl: `http://${listener.address}`, httpVersion: "1.1" as const });
  const transports: readonly (readonly [string, () => Transport])[] = [
    ["Connect", () => createConnectTransport(web())],
    ["Connect in JSON", () => createConnectTransport({ ...web(), useBinaryFormat: false })],
    ["gRPC-Web", () => createGrpcWebTransport(web())],
    ["gRPC", () => createGrpcTransport({ baseUrl: `http://${grpc.address}` })],
  ];

  /** Nothing, as one message or as a stream without any. */
  function requestOf(name: string): object {
    const { methodKind } = HedgerowService.method[name as keyof typeof HedgerowService.method];
    const streams = methodKind === "client_streaming" || methodKind === "bidi_streaming";
    return streams ? (async function* () {})() : {};
  }

  /** The code that a method ends with; "served" if it gets past the door. */
  async function outcome(
    transport: Transport,
    name: string,
    token: string | null,
  ): Promise<string> {
    const client = createClient(HedgerowService, transport) as unknown as Record<
      string,
      (request: object, options: object) => unknown
    >;
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    try {
      const answer = client[name]?.(requestOf(name), { headers, timeoutMs: 5_000 });
      if (answer !== null && typeof answer === "object" && Symbol.asyncIterator in answer) {
        for await (const _ of answer as AsyncIterable<unknown>) return "served";
      } else {
        await answer;
      }
      return "served";
    } catch (thrown) {
      const { code } = fromConnectError(thrown as never);
      return code === "unauthenticated" || code === "forbidden" ? code : "served";
    }
  }

  describe.each(transports)("over %s", (_, make) => {
    test.each(METHODS)("%s refuses in the protocol's own words", async (name, permission) => {
      const transport = make();
      const before = done;
      expect(await outcome(transport, name, null)).toBe("unauthenticated");
      expect(await outcome(transport, name, "wrong-0123456789abcdef")).toBe("unauthenticated");
      expect(await outcome(transport, name, RO)).toBe(
        permission === "read" ? "served" : "forbidden",
      );
      expect(done).toBe(before);
      expect(await outcome(transport, name, RW)).toBe("served");
    });
  });

  test("plain endpoints answer 401 and 403 with a line, and do nothing", async () => {
    const before = done;
    const ask = (path: string, headers: Record<string, string> = {}) =>
      fetch(`http://${listener.address}${path}`, { method: "POST", body: "k v", headers });
    const anonymous = await ask("/put");
    expect(anonymous.status).toBe(401);
    expect(anonymous.headers.get("www-authenticate")).toStartWith("Bearer");
    expect(await anonymous.text()).toMatch(/^this listener asks for a token: [^\n]+\n$/);
    const reader = await ask("/put", { authorization: `Bearer ${RO}` });
    expect([reader.status, await reader.text()]).toEqual([
      403,
      "/put is not for read-only tokens: use one that its node lists as rw\n",
    ]);
    expect((await ask("/get", { authorization: `Bearer ${RO}` })).status).toBe(200);
    expect(done).toBe(before);
    expect((await ask("/put", { authorization: `Bearer ${RW}` })).status).toBe(200);
    expect(done).toBe(before + 1);
  });

  test("a Connect call's refusal is JSON with our own code", async () => {
    const response = await fetch(`http://${listener.address}/hedgerow.v1.HedgerowService/Put`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code: "unauthenticated" });
  });

  test("probes and preflights pass without a token", async () => {
    for (const path of ["/livez", "/readyz"]) {
      expect((await fetch(`http://${listener.address}${path}`)).status).toBe(200);
    }
    const preflight = await fetch(`http://${listener.address}/hedgerow.v1.HedgerowService/Put`, {
      method: "OPTIONS",
      headers: {
        origin: "https://ui.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")?.toLowerCase()).toContain(
      "authorization",
    );
  });

  test("a page of a listed origin may read its refusal", async () => {
    const response = await fetch(`http://${listener.address}/put`, {
      method: "POST",
      headers: { origin: "https://ui.example.com" },
    });
    expect(response.status).toBe(401);
    expect(response.headers.get("access-control-allow-origin")).toBe("https://ui.example.com");
  });
});
