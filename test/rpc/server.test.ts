import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import { DeliverRequestSchema, DeliverResponseSchema } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { MAX_CALL_BYTES, MAX_TIMEOUT_MS } from "../../src/rpc/limits.ts";
import type { PeerListenerOptions } from "../../src/rpc/listener.ts";
import type { ServedCall } from "../../src/rpc/port.ts";
import { addressOf, bytes, deliverRoute, echo, listen, RecordingLogger } from "./kit/nodes.ts";
import { until } from "./kit/wait.ts";

const PROTO = { "content-type": "application/proto" };
const JSON_TYPE = { "content-type": "application/json" };
const DELIVER = "/hedgerow.v1.PeerService/Deliver";

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
  /** Connect's code of an error. */
  readonly code: string | undefined;
  readonly message: string | undefined;
}

/** A plain-text listener, and a function that posts to it. */
function served(options: Partial<PeerListenerOptions> = {}) {
  const listener = listen({ routes: [echo], ...options });
  const post = async (
    body: BodyInit,
    headers: Record<string, string> = PROTO,
    { path = DELIVER, ...init }: BunFetchRequestInit & { path?: string } = {},
  ): Promise<Answer> => {
    const url = `http://${addressOf(listener)}${path}`;
    const response = await fetch(url, { method: "POST", body, headers, ...init });
    const answer = await response.bytes();
    const error =
      response.status === 200 ? {} : (JSON.parse(Buffer.from(answer).toString()) as object);
    return {
      code: undefined,
      message: undefined,
      ...error,
      status: response.status,
      headers: response.headers,
      body: answer,
    };
  };
  return { listener, post };
}

function request(text: string): Uint8Array<ArrayBuffer> {
  return toBinary(DeliverRequestSchema, create(DeliverRequestSchema, { data: bytes(text) }));
}

test("protobuf in, protobuf out", async () => {
  const { post } = served();
  const answer = await post(request("hello"));
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("application/proto");
  expect(fromBinary(DeliverResponseSchema, answer.body).data).toEqual(bytes("hello"));
});

test("JSON in, JSON out, with or without a charset", async () => {
  const { post } = served();
  const data = Buffer.from("hello").toString("base64");
  for (const type of ["application/json", "application/json; charset=utf-8"]) {
    const answer = await post(JSON.stringify({ data }), { "content-type": type });
    expect(answer.status).toBe(200);
    expect(JSON.parse(Buffer.from(answer.body).toString())).toEqual({ data });
  }
});

test("C6: malformed and truncated messages are the sender's error, and reach no handler", async () => {
  let handled = 0;
  const route = deliverRoute(async () => {
    handled++;
    return {};
  });
  const { post } = served({ routes: [route] });
  const whole = request("a message that is cut");
  for (const body of [whole.subarray(0, 9), bytes("\xff\xff\xff\xff"), whole.subarray(1)]) {
    const answer = await post(body);
    expect([answer.status, answer.code]).toEqual([400, "invalid_argument"]);
  }
  for (const body of ["", "{", "[]", '{"data": 5}', "\xff"]) {
    const answer = await post(body, JSON_TYPE);
    expect([answer.status, answer.code]).toEqual([400, "invalid_argument"]);
  }
  expect(handled).toBe(0);
});

test("C6: oversized messages are refused, by what they declare or by what they are", async () => {
  const { post } = served();
  const declared = await post(new Uint8Array(MAX_CALL_BYTES + 1));
  expect([declared.status, declared.code]).toEqual([413, "resource_exhausted"]);
  let sent = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      controller.enqueue(new Uint8Array(65_536));
    },
  });
  const undeclared = await post(endless);
  expect([undeclared.status, undeclared.code]).toEqual([413, "resource_exhausted"]);
  expect(sent).toBeLessThan(4 * MAX_CALL_BYTES);
  expect((await post(request("still here"))).status).toBe(200);
});

test("C6: unknown routes, methods, types, encodings and versions each have their answer", async () => {
  const { post, listener } = served();
  const unknown = await post(request(""), PROTO, { path: "/hedgerow.v1.PeerService/Nothing" });
  expect([unknown.status, unknown.code]).toEqual([404, "not_found"]);
  const url = `http://${addressOf(listener)}${DELIVER}`;
  const got = await fetch(url);
  expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
  const text = await post("x", { "content-type": "text/plain" });
  expect([text.status, text.headers.get("accept-post")]).toEqual([
    415,
    "application/proto, application/json",
  ]);
  const packed = await post(request(""), { ...PROTO, "content-encoding": "gzip" });
  expect([packed.status, packed.code]).toEqual([501, "unimplemented"]);
  const version = await post(request(""), { ...PROTO, "connect-protocol-version": "2" });
  expect([version.status, version.code]).toEqual([400, "invalid_argument"]);
  const timeout = await post(request(""), { ...PROTO, "connect-timeout-ms": "soon" });
  expect([timeout.status, timeout.code]).toEqual([400, "invalid_argument"]);
});

test("C6: random bodies get a typed answer, whatever they are", async () => {
  const { post } = served();
  const seed = Math.floor(Math.random() * 2 ** 31);
  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state % below;
  };
  const paths = [DELIVER, "/hedgerow.v1.PeerService/Batch"];
  for (let i = 0; i < 400; i++) {
    const body = Uint8Array.from({ length: next(80) }, () => next(256));
    const headers = next(4) === 0 ? JSON_TYPE : PROTO;
    const answer = await post(body, headers, { path: paths[next(2)] as string });
    const known = answer.status === 200 || answer.code === "invalid_argument";
    if (!known) throw new Error(`seed ${seed}, body ${i}: ${answer.status} ${answer.code}`);
  }
});

test("C7: a handler's own error arrives with its facts, a defect only as one, and is logged", async () => {
  const logger = new RecordingLogger();
  const leader = { address: "10.0.0.1:8080", token: 7, released: false };
  const route = deliverRoute(async ({ data }) => {
    if (data.length > 0) throw new HedgerowError("not_leader", "ask the leader", { leader });
    throw new TypeError("undefined is not a function");
  });
  const { post } = served({ routes: [route], logger });
  const typed = await post(request("x"));
  expect([typed.status, typed.code, typed.message]).toEqual([
    400,
    "failed_precondition",
    "ask the leader",
  ]);
  const defect = await post(request(""));
  expect([defect.status, defect.code, defect.message]).toEqual([500, "internal", "internal error"]);
  expect(Buffer.from(defect.body).toString()).not.toContain("undefined");
  expect(logger.lines).toHaveLength(1);
  expect(logger.lines[0]).toContain("undefined is not a function");
});

test("C7: a handler that hangs is answered for at the caller's deadline", async () => {
  let signal: AbortSignal | undefined;
  const route = deliverRoute((_, call) => {
    signal = call.signal;
    return new Promise(() => {});
  });
  const { post } = served({ routes: [route] });
  const answer = await post(request("x"), { ...PROTO, "connect-timeout-ms": "50" });
  expect([answer.status, answer.code]).toEqual([504, "deadline_exceeded"]);
  expect(signal?.aborted).toBe(true);
});

/** Sends the head of a request, and then its body byte by byte until the other side ends or answers. */
async function trickle(address: string, head: string, chunk: string): Promise<string> {
  let answer = "";
  let bytes = 0;
  const [hostname = "", port] = address.split(":");
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data(_, data) {
        answer += data.toString();
      },
    },
  });
  socket.write(
    `POST ${DELIVER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\n${head}\r\n\r\n`,
  );
  await until("it is answered", () => {
    if (++bytes < 900) socket.write(chunk);
    return answer !== "";
  });
  socket.end();
  return answer;
}

test("C1: a request whose body comes too slowly is answered at the caller's deadline", async () => {
  let handled = 0;
  const route = deliverRoute(async () => {
    handled++;
    return {};
  });
  const address = addressOf(served({ routes: [route] }).listener);
  const declared = trickle(address, "connect-timeout-ms: 60\r\ncontent-length: 1000", "x");
  expect(await declared).toStartWith("HTTP/1.1 504 ");
  const chunked = "connect-timeout-ms: 60\r\ntransfer-encoding: chunked";
  expect(await trickle(address, chunked, "1\r\nx\r\n")).toStartWith("HTTP/1.1 504 ");
  expect(handled).toBe(0);
});

test("C7: a reply of 100 MB is an error for that caller only", async () => {
  const route = deliverRoute(async ({ data }) => ({
    data: data.length === 0 ? data : new Uint8Array(100_000_000),
  }));
  const { post } = served({ routes: [route] });
  const [large, small] = await Promise.all([post(request("x")), post(request(""))]);
  expect([large.status, large.code]).toEqual([413, "resource_exhausted"]);
  expect(small.status).toBe(200);
});

test("C7: a handler that breaks its own types is a defect, not the caller's error", async () => {
  const route = deliverRoute(async () => ({ data: "text" }) as never);
  const { post } = served({ routes: [route] });
  expect((await post(request("x"))).code).toBe("internal");
});

test("the time-out reaches the handler: the caller's, the default, and an absurd one cut down", async () => {
  const seen: number[] = [];
  const route = deliverRoute(async (_, { timeoutMs }: ServedCall) => {
    seen.push(timeoutMs);
    return {};
  });
  const { post } = served({ routes: [route] });
  await post(request(""), { ...PROTO, "connect-timeout-ms": "1234" });
  await post(request(""));
  await post(request(""), { ...PROTO, "connect-timeout-ms": "9999999999" });
  expect(seen).toEqual([1_234, 10_000, MAX_TIMEOUT_MS]);
});

test("a handler that listens hears that its caller went away", async () => {
  let signal: AbortSignal | undefined;
  const route = deliverRoute((_, call) => {
    signal = call.signal;
    return new Promise(() => {});
  });
  const { post } = served({ routes: [route] });
  const leave = new AbortController();
  const call = post(request("x"), PROTO, { signal: leave.signal }).catch(() => "left");
  await until("the handler runs", () => signal !== undefined);
  expect(signal?.aborted).toBe(false);
  leave.abort();
  expect(await call).toBe("left");
  await until("the handler hears it", () => signal?.aborted === true);
  expect(signal?.reason).toMatchObject({ code: "canceled" });
});
