import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import {
  type Client,
  createClient,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { type DeliverRequest, DeliverRequestSchema } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { envelope } from "../../src/rpc/envelopes.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { connectHandlers } from "../../src/rpc/handlers.ts";
import { createTransport } from "../../src/rpc/transport.ts";
import { TestCluster } from "./kit/cluster.ts";
import { Echo } from "./kit/echo.ts";
import { addressOf, atEnd, bytes, listen, RecordingLogger, runtime } from "./kit/nodes.ts";
import { freePort } from "./kit/sockets.ts";
import { failureOf, until, untilStill } from "./kit/wait.ts";

const cluster = new TestCluster();
const SECURE = [false, true];
const CHUNK = new Uint8Array(64 * 1024);

const echoService: ServiceImpl<typeof Echo> = {
  unary: async ({ data }) => ({ data }),
  async *down({ data }) {
    for (const byte of data) yield { data: Uint8Array.of(byte) };
  },
  async up(requests) {
    const all: Uint8Array[] = [];
    for await (const { data } of requests) all.push(data);
    return { data: Buffer.concat(all) };
  },
  async *both(requests) {
    for await (const { data } of requests) yield { data };
  },
};

/** A listener with streams, and a client of it. */
function streaming(service: Partial<ServiceImpl<typeof Echo>>, secure: boolean) {
  const logger = new RecordingLogger();
  const generic = connectHandlers(
    (router) => router.service(Echo, { ...echoService, ...service }),
    {
      logger,
      clock: runtime.clock,
    },
  );
  const listener = listen({ tls: secure ? cluster.member("s") : null, generic });
  const material = cluster.member("c");
  const transport = createTransport({
    clock: runtime.clock,
    baseUrl: `${secure ? "https" : "http"}://${addressOf(listener)}`,
    ...(secure && { tls: () => material }),
  });
  const client: Client<typeof Echo> = createClient(Echo, transport);
  return { client, transport, listener, logger };
}

async function* inputOf(...texts: string[]): AsyncGenerator<DeliverRequest> {
  for (const text of texts) yield create(DeliverRequestSchema, { data: bytes(text) });
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return fromConnectError((await failureOf(call)) as never).code;
}

async function drain(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of messages);
}

test.each(SECURE)("all four kinds of calls (TLS %p)", async (secure) => {
  const { client } = streaming({}, secure);
  expect((await client.unary({ data: bytes("one") })).data).toEqual(bytes("one"));
  const down: number[] = [];
  for await (const { data } of client.down({ data: Uint8Array.of(1, 2, 3) })) down.push(...data);
  expect(down).toEqual([1, 2, 3]);
  expect((await client.up(inputOf("a", "b", "c"))).data).toEqual(bytes("abc"));
  const both: string[] = [];
  for await (const { data } of client.both(inputOf("x", "y")))
    both.push(Buffer.from(data).toString());
  expect(both).toEqual(["x", "y"]);
});

test.each(SECURE)(
  "both directions flow at once: each answer brings the next question (TLS %p)",
  async (secure) => {
    const { client } = streaming({}, secure);
    let next = Promise.withResolvers<string>();
    const questions = (async function* () {
      for (let i = 0; i < 5; i++) {
        const text = await next.promise;
        next = Promise.withResolvers();
        yield create(DeliverRequestSchema, { data: bytes(text) });
      }
    })();
    const answers: string[] = [];
    next.resolve("0");
    for await (const { data } of client.both(questions)) {
      answers.push(Buffer.from(data).toString());
      next.resolve(`${answers.length}`);
    }
    expect(answers).toEqual(["0", "1", "2", "3", "4"]);
  },
);

test.each(SECURE)(
  "C8: a reader that stalls stops the sender on the other side (TLS %p)",
  async (secure) => {
    let produced = 0;
    const endless: ServiceImpl<typeof Echo>["down"] = async function* () {
      for (; ; produced++) yield { data: CHUNK };
    };
    const { client } = streaming({ down: endless }, secure);
    const leave = new AbortController();
    const { signal } = leave;
    const replies = client.down({}, { signal, timeoutMs: 60_000 });
    const messages = replies[Symbol.asyncIterator]();
    await messages.next();
    const stalledAt = await untilStill(() => produced);
    expect(stalledAt).toBeLessThan(1_000); // 64 MB, in sockets and streams on the way
    for (let i = 0; i < stalledAt; i++) await messages.next();
    await until("it goes on", () => produced > stalledAt);
    leave.abort();
    expect(await codeOf(drain({ [Symbol.asyncIterator]: () => messages }))).toBe("canceled");
  },
);

test.each(SECURE)(
  "C8: a handler that stalls stops the sender on this side (TLS %p)",
  async (secure) => {
    const gate = Promise.withResolvers<void>();
    let received = 0;
    const slow: ServiceImpl<typeof Echo>["up"] = async (requests) => {
      for await (const _ of requests) {
        received++;
        if (received === 3) await gate.promise;
      }
      return {};
    };
    const { client } = streaming({ up: slow }, secure);
    let sent = 0;
    const input = (async function* () {
      for (; sent < 1_500; sent++) yield create(DeliverRequestSchema, { data: CHUNK });
    })();
    const call = client.up(input, { timeoutMs: 60_000 });
    expect(await untilStill(() => sent)).toBeLessThan(1_000);
    expect(received).toBe(3);
    gate.resolve();
    await call;
    expect([sent, received]).toEqual([1_500, 1_500]);
  },
);

test.each(SECURE)(
  "C8: a caller that goes away ends the stream on both sides (TLS %p)",
  async (secure) => {
    let context: HandlerContext | undefined;
    let finished = false;
    const hanging: ServiceImpl<typeof Echo>["down"] = async function* (_, given) {
      context = given;
      try {
        yield { data: bytes("first") };
        await new Promise((resolve) => given.signal.addEventListener("abort", resolve));
      } finally {
        finished = true;
      }
    };
    const { client, transport } = streaming({ down: hanging }, secure);
    const leave = new AbortController();
    const messages = client.down({}, { signal: leave.signal })[Symbol.asyncIterator]();
    await messages.next();
    leave.abort();
    expect(await codeOf(messages.next())).toBe("canceled");
    await until("the handler hears it", () => context?.signal.aborted === true && finished);
    finished = false;
    const stream = await transport.stream(Echo.method.down, undefined, undefined, {}, inputOf(""));
    for await (const _ of stream.message) break;
    await until("leaving the loop is enough", () => context?.signal.aborted === true && finished);
  },
);

test.each(SECURE)("C8: a server that goes away ends the stream, typed (TLS %p)", async (secure) => {
  const hanging: ServiceImpl<typeof Echo>["both"] = async function* (requests) {
    for await (const { data } of requests) yield { data };
  };
  const { client, listener } = streaming({ both: hanging }, secure);
  const never = Promise.withResolvers<void>();
  let inputEnded = false;
  const input = (async function* () {
    try {
      yield* inputOf("first");
      await never.promise;
    } finally {
      inputEnded = true;
    }
  })();
  const messages = client.both(input)[Symbol.asyncIterator]();
  await messages.next();
  const cut = codeOf(messages.next());
  await listener.stop();
  expect(["stopped", "outcome_unknown"]).toContain(await cut);
  never.resolve();
  await until("the input is released", () => inputEnded);
});

test("C10: at stop each stream's handler is told, and says so to its caller", async () => {
  const reasons: unknown[] = [];
  const hanging: ServiceImpl<typeof Echo>["down"] = async function* (_, { signal }) {
    yield {};
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    reasons.push(signal.reason);
    throw signal.reason;
  };
  const { client, listener } = streaming({ down: hanging }, false);
  const messages = client.down({})[Symbol.asyncIterator]();
  await messages.next();
  const cut = codeOf(messages.next());
  await listener.stop();
  expect(await cut).toBe("stopped");
  expect(reasons).toHaveLength(1);
});

test("a stream's deadline ends it on both sides", async () => {
  let signal: AbortSignal | undefined;
  const hanging: ServiceImpl<typeof Echo>["down"] = async function* (_, given) {
    signal = given.signal;
    yield {};
    await new Promise(() => {});
  };
  const { client } = streaming({ down: hanging }, false);
  expect(await codeOf(drain(client.down({}, { timeoutMs: 1_500 })))).toBe("timeout");
  await until("the handler hears it", () => signal?.aborted === true);
});

test("errors of handlers cross streams with their facts; defects only as such, and are logged", async () => {
  const leader = { address: "10.0.0.1:8080", token: 5, released: false };
  const failing: ServiceImpl<typeof Echo>["down"] = async function* ({ data }) {
    yield {};
    if (data.length === 0) throw new TypeError("secret");
    throw new HedgerowError("not_leader", "ask it", { leader, retryDelayMs: 9 });
  };
  const { client, logger } = streaming({ down: failing }, false);
  const typed = fromConnectError(
    (await failureOf(drain(client.down({ data: bytes("x") })))) as never,
  );
  expect(typed).toMatchObject({ code: "not_leader", message: "ask it", leader, retryDelayMs: 9 });
  const defect = fromConnectError((await failureOf(drain(client.down({})))) as never);
  expect(defect).toMatchObject({ code: "internal", message: "internal error" });
  expect(logger.lines).toHaveLength(1);
});

test("C6: a message over the limit ends its stream only, on either side", async () => {
  const large = new Uint8Array(5 * 1024 * 1024);
  const flood: ServiceImpl<typeof Echo>["down"] = async function* () {
    yield { data: large };
  };
  const { client } = streaming({ down: flood }, false);
  expect(await codeOf(drain(client.down({})))).toBe("too_large");
  const input = (async function* () {
    yield create(DeliverRequestSchema, { data: large });
  })();
  expect(await codeOf(client.up(input))).toBe("too_large");
  expect((await client.unary({ data: bytes("still here") })).data).toEqual(bytes("still here"));
});

test("an input that fails ends the call, and the handler hears of it", async () => {
  let signal: AbortSignal | undefined;
  const { client } = streaming(
    {
      async up(requests, context) {
        signal = context.signal;
        await drain(requests);
        return {};
      },
    },
    false,
  );
  const input = (async function* () {
    yield* inputOf("first");
    await until("the handler runs", () => signal !== undefined);
    throw new Error("the source is dry");
  })();
  await failureOf(client.up(input));
  await until("the handler hears it", () => signal?.aborted === true);
});

/** A server that answers every stream with these bytes. */
function answering(body: Uint8Array<ArrayBuffer>, headers: Record<string, string>, status = 200) {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(body, { status, headers }),
  });
  atEnd(() => server.stop(true));
  const baseUrl = `http://127.0.0.1:${server.port}`;
  return createClient(Echo, createTransport({ clock: runtime.clock, baseUrl }));
}

test("only the end-of-stream message ends a stream well", async () => {
  const headers = { "content-type": "application/connect+proto" };
  const message = envelope(new Uint8Array());
  const end = envelope(bytes("{}"));
  end[0] = 2;
  const well = answering(Buffer.concat([message, end]), headers);
  await drain(well.down({}));
  for (const cut of [message, message.subarray(0, 3), new Uint8Array()]) {
    expect(await codeOf(drain(answering(cut, headers).down({})))).toBe("outcome_unknown");
  }
  const packed = envelope(bytes("x"));
  packed[0] = 1;
  expect(await codeOf(drain(answering(packed, headers).down({})))).toBe("outcome_unknown");
});

test("what is not Connect is told apart by its status and type", async () => {
  const html = { "content-type": "text/html" };
  expect(await codeOf(drain(answering(bytes("<html>"), html, 404).down({})))).toBe("not_found");
  expect(await codeOf(drain(answering(bytes("<html>"), html).down({})))).toBe("outcome_unknown");
  expect(await codeOf(answering(bytes("<html>"), html).unary({}))).toBe("outcome_unknown");
  const baseUrl = `http://127.0.0.1:${freePort()}`;
  const nobody = createClient(Echo, createTransport({ clock: runtime.clock, baseUrl }));
  expect(await codeOf(nobody.unary({}))).toBe("unavailable");
  expect(await codeOf(drain(nobody.down({})))).toBe("unavailable");
});

test("a unary call has its deadline and its signal", async () => {
  const { client } = streaming({ unary: () => new Promise(() => {}) }, false);
  expect(await codeOf(client.unary({}, { timeoutMs: 40 }))).toBe("timeout");
  expect(await codeOf(client.unary({}, { signal: AbortSignal.abort() }))).toBe("canceled");
});
