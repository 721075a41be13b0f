import { expect, test } from "bun:test";
import { join } from "node:path";
import { HedgerowError } from "../../../src/errors.ts";
import { serveStream, type StreamInput, type StreamRoute } from "../../../src/rpc/port.ts";
import { DEFAULT_STREAM_LIMITS, type StreamLimits } from "../../../src/rpc/streams/limits.ts";
import { sleep } from "../../../src/runtime/operation.ts";
import { TestCluster } from "../kit/cluster.ts";
import { addressOf, bytes, listen, peers, runtime } from "../kit/nodes.ts";
import { silenceableProxy } from "../kit/proxy.ts";
import { freePort } from "../kit/sockets.ts";
import { echoStream, KIND, streamRoute, texts, textsOf } from "../kit/streams.ts";
import { failureOf, until, untilStill } from "../kit/wait.ts";

const cluster = new TestCluster();
const SECURE = [false, true];
const CHUNK = new Uint8Array(64 * 1024);

interface WayOptions {
  readonly secure?: boolean;
  readonly limits?: Partial<StreamLimits>;
}

/** A node that serves the route, and another one's way to it. */
function wayTo(route: StreamRoute, { secure = true, limits = {} }: WayOptions = {}) {
  const streamLimits = { ...DEFAULT_STREAM_LIMITS, ...limits };
  const tls = secure ? cluster.member("s") : null;
  const listener = listen({ tls, streamRoutes: [route], streamLimits });
  const material = secure ? cluster.member("c") : null;
  const clients = peers({ tls: () => material, streamLimits });
  const open = (input: StreamInput = [], options = {}) =>
    clients.stream(addressOf(listener), KIND, {}, input, options);
  return { listener, clients, open };
}

/** A handler that notes why its streams ended. */
function noting() {
  const ends: string[] = [];
  const route = streamRoute(async function* (input, stream) {
    try {
      yield* input;
    } finally {
      const { aborted, reason } = stream.signal;
      ends.push(aborted ? HedgerowError.from(reason).code : "well");
    }
  });
  return { ends, route };
}

async function* ticking(everyMs = 20): AsyncGenerator<string> {
  for (let i = 0; ; i++) {
    yield `${i}`;
    await sleep(runtime.clock, everyMs);
  }
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return HedgerowError.from(await failureOf(call)).code;
}

test.each(SECURE)("what is sent comes back, in order (TLS %p)", async (secure) => {
  const { open } = wayTo(echoStream, { secure });
  expect(await textsOf(await open(texts("one", "", "three")))).toEqual(["one", "", "three"]);
  expect(await textsOf(await open())).toEqual([]);
  const many = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  expect(await textsOf(await open(many))).toEqual(many);
});

test("a message of any size up to the limit comes whole, and a buffer may be used again at once", async () => {
  const { open } = wayTo(echoStream);
  const sizes = [0, 1, 999, 16_383, 16_384, 65_530, 65_536, 200_000, 4 * 1024 * 1024];
  const buffer = new Uint8Array(4 * 1024 * 1024);
  async function* input() {
    for (const [i, size] of sizes.entries()) {
      buffer.fill(i + 1, 0, size);
      yield buffer.subarray(0, size);
      buffer.fill(0);
    }
  }
  const received: number[] = [];
  for await (const message of await open(input())) {
    expect(message.every((byte) => byte === received.length + 1)).toBe(true);
    received.push(message.length);
  }
  expect(received).toEqual(sizes);
});

// Bun copies what a socket, or an answer, does not take at once, before it asks for more: nothing promises that.
test.each(SECURE)(
  "large messages are sent from one buffer, both ways, to a slow reader (TLS %p)",
  async (secure) => {
    const count = 100;
    async function* fromOneBuffer() {
      const buffer = new Uint8Array(512 * 1024);
      for (let i = 1; i <= count; i++) yield buffer.fill(i);
    }
    const check = async (messages: AsyncIterable<Uint8Array>) => {
      let i = 0;
      for await (const message of messages) {
        i++;
        if (message.some((byte) => byte !== i)) throw new Error(`message ${i} was changed`);
        if (i % 10 === 0) await sleep(runtime.clock, 5);
      }
      expect(i).toBe(count);
    };
    const route = streamRoute(async function* (input) {
      const checked = check(input);
      yield* fromOneBuffer();
      await checked; // the stream is over with its replies
    });
    const { open } = wayTo(route, { secure });
    await check(await open(fromOneBuffer()));
  },
);

test("C8: many streams at once, each with its own messages", async () => {
  const { open } = wayTo(echoStream);
  const one = async (id: number) => {
    const sent = Array.from({ length: 200 }, (_, i) => `${id}:${i}:${"x".repeat((id * i) % 700)}`);
    expect(await textsOf(await open(sent))).toEqual(sent);
  };
  await Promise.all(Array.from({ length: 200 }, (_, id) => one(id)));
});

test("C8: 1,000 streams, each with 1,000 messages both ways: none mixed, memory grows little and falls back", async () => {
  // When garbage is collected is chance on a busy machine, what is kept is not: two of up to five runs must do.
  const grown: number[] = [];
  const little = () => grown.filter((mb) => mb < 200).length;
  while (little() < 2 && grown.length < 5) grown.push(await manyStreamsMb());
  expect(little(), grown.join(" ")).toBe(2);
}, 300_000);

/** In a process of its own: what other tests have left decides when memory is collected. */
async function manyStreamsMb(): Promise<number> {
  const { exited, stdout, stderr } = Bun.spawn(
    [process.execPath, "test", join(import.meta.dir, "alone/many-streams.ts")],
    { stdout: "pipe", stderr: "pipe" },
  );
  const said = await Promise.all([new Response(stdout).text(), new Response(stderr).text()]);
  expect(await exited, said.join("\n")).toBe(0);
  return Number(/memory grew by ([\d.]+)/.exec(said[0])?.[1]);
}

test("both directions flow at once: each answer brings the next question", async () => {
  const { open } = wayTo(echoStream);
  let next = Promise.withResolvers<string>();
  async function* questions() {
    for (let i = 0; i < 50; i++) {
      const question = await next.promise;
      next = Promise.withResolvers();
      yield question;
    }
  }
  next.resolve("0");
  const answers: string[] = [];
  for await (const answer of await open(questions())) {
    answers.push(Buffer.from(answer).toString());
    next.resolve(`${answers.length}`);
  }
  expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`));
});

test.each(SECURE)("C8: a reader that stalls holds the handler back (TLS %p)", async (secure) => {
  let produced = 0;
  const endless = streamRoute(async function* () {
    for (; ; produced++) yield CHUNK;
  });
  const { open } = wayTo(endless, { secure });
  const replies = await open();
  await replies.next();
  const stalledAt = await untilStill(() => produced);
  expect(stalledAt * CHUNK.length).toBeLessThan(8 * 1024 * 1024);
  for (let i = 0; i < stalledAt; i++) await replies.next();
  await until("it goes on", () => produced > stalledAt);
  await replies.return?.();
  const leftAt = await untilStill(() => produced);
  expect(leftAt).toBeGreaterThan(stalledAt);
});

test.each(SECURE)("C8: a handler that stalls holds the caller back (TLS %p)", async (secure) => {
  const gate = Promise.withResolvers<void>();
  let read = 0;
  const slow = streamRoute(async function* (input) {
    for await (const _ of input) if (++read === 3) await gate.promise;
    yield "done";
  });
  let sent = 0;
  async function* input() {
    for (; sent < 500; sent++) yield CHUNK;
  }
  const { open } = wayTo(slow, { secure });
  const replies = await open(input());
  const stalledAt = await untilStill(() => sent);
  expect(stalledAt * CHUNK.length).toBeLessThan(8 * 1024 * 1024);
  expect(read).toBe(3);
  gate.resolve();
  expect(await textsOf(replies)).toEqual(["done"]);
  expect(read).toBe(500);
});

test("a stalled stream does not hold up the others on its connection", async () => {
  const { open } = wayTo(echoStream);
  async function* flood() {
    for (;;) yield CHUNK;
  }
  const stalled = await Promise.all(Array.from({ length: 20 }, () => open(flood())));
  expect(await textsOf(await open(["on", "it", "goes"]))).toEqual(["on", "it", "goes"]);
  for (const replies of stalled) await replies.return?.();
});

test("C7: a handler that fails, fails its caller only; of a defect nothing is told", async () => {
  const route = streamRoute(async function* (input) {
    for await (const message of input) {
      const text = Buffer.from(message).toString();
      if (text === "defect") throw new Error("secret");
      if (text === "conflict") throw new HedgerowError("conflict", "told");
      yield message;
    }
  });
  const { open } = wayTo(route);
  const good = await open(ticking());
  await good.next();
  const failing = await open(["first", "conflict", "never"]);
  expect(Buffer.from((await failing.next()).value ?? "").toString()).toBe("first");
  expect(await failureOf(failing.next())).toMatchObject({ code: "conflict", message: "told" });
  expect(await failing.next()).toEqual({ done: true, value: undefined });
  expect(await failureOf(textsOf(await open(["defect"])))).toMatchObject({
    code: "internal",
    message: "internal error",
  });
  expect((await good.next()).done).toBe(false);
  await good.return?.();
});

test("a handler may refuse, end early, and leave its input unread", async () => {
  const refusing = streamRoute(() => {
    throw new HedgerowError("no_handler", "not here");
  });
  expect(await codeOf(wayTo(refusing).open())).toBe("no_handler");
  let left = false;
  async function* input() {
    try {
      yield* ticking(1);
    } finally {
      left = true;
    }
  }
  const { open } = wayTo(
    streamRoute(async function* (messages) {
      for await (const message of messages) {
        yield message;
        break;
      }
      yield "last";
    }),
  );
  expect(await textsOf(await open(input()))).toEqual(["0", "last"]);
  await until("the input is left", () => left);
});

test("leaving the replies, the signal, and an input that fails end the handler's side", async () => {
  const { ends, route } = noting();
  const { open } = wayTo(route);
  for await (const _ of await open(ticking())) break;
  await until("it is told", () => ends.length === 1);
  const controller = new AbortController();
  const aborted = await open(ticking(), { signal: controller.signal });
  await aborted.next();
  controller.abort();
  expect(await codeOf(textsOf(aborted))).toBe("canceled");
  async function* broken() {
    yield "one";
    throw new Error("of the caller's own");
  }
  const failed = await failureOf(textsOf(await open(broken())));
  expect(failed).toMatchObject({ code: "canceled", cause: { message: "of the caller's own" } });
  await until("it is told", () => ends.length === 3);
  expect(ends).toEqual(["canceled", "canceled", "canceled"]);
  expect(await codeOf(open([], { signal: AbortSignal.abort() }))).toBe("canceled");
});

test("C8: a connection that went silent ends its streams on both sides within 2 s", async () => {
  const { ends, route } = noting();
  const { listener, clients } = wayTo(route);
  const proxy = await silenceableProxy(listener.port);
  const streams = await Promise.all(
    Array.from({ length: 100 }, () => clients.stream(proxy.address, KIND, {}, ticking())),
  );
  for (const replies of streams) await replies.next();
  proxy.silence();
  const silentAt = performance.now();
  const codes = await Promise.all(streams.map((replies) => codeOf(textsOf(replies))));
  expect(new Set(codes)).toEqual(new Set(["outcome_unknown"]));
  await until("the handlers are told", () => ends.length === 100);
  expect(performance.now() - silentAt).toBeLessThan(8_000); // 1.75 s, and a busy machine
  expect(new Set(ends)).toEqual(new Set(["outcome_unknown"]));
});

test("a listener that stops, and clients that close, end streams with `stopped` on both sides", async () => {
  for (const side of ["listener", "clients"] as const) {
    const { ends, route } = noting();
    const { listener, clients, open } = wayTo(route);
    const replies = await open(ticking());
    await replies.next();
    await (side === "listener" ? listener.stop() : clients.close());
    expect(await codeOf(textsOf(replies))).toBe("stopped");
    await until("the handler is told", () => ends.length === 1);
    expect(ends).toEqual(["stopped"]);
  }
});

test("a member that is gone: its streams are cut", async () => {
  const { ends, route } = noting();
  const { clients, listener, open } = wayTo(route);
  const replies = await open(ticking());
  clients.forget(addressOf(listener));
  expect(await codeOf(textsOf(replies))).toBe("outcome_unknown");
  await until("the handler is told", () => ends.length === 1);
  expect(await textsOf(await open(["again"]))).toEqual(["again"]);
});

test("limits: too many streams are refused, too large a message ends its stream, the others go on", async () => {
  const limits = { maxStreams: 3, maxMessageBytes: 1_000 };
  const { open } = wayTo(echoStream, { limits });
  const three = await Promise.all([open(ticking()), open(ticking()), open(ticking())]);
  expect(await codeOf(open())).toBe("overloaded");
  await three[0]?.return?.();
  expect(await codeOf(textsOf(await open([new Uint8Array(1_001)])))).toBe("too_large");
  expect(await codeOf(textsOf(await open([new Uint8Array(5 * 1024 * 1024)])))).toBe("too_large");
  expect((await three[1]?.next())?.done).toBe(false);
  const large = wayTo(
    streamRoute(() => [new Uint8Array(1_001)]),
    { limits },
  );
  expect(await codeOf(textsOf(await large.open()))).toBe("too_large");
  expect(await codeOf(textsOf(await open([1 as never])))).toBe("invalid_argument");
});

test("a stream of bytes carries them whatever the limit of messages is, in other pieces", async () => {
  const limits = { maxMessageBytes: 1_000 };
  const sent = [10, 3_000_000, 0, 200_000].map((size, i) => new Uint8Array(size).fill(i + 1));
  const kind = { ...KIND, isBytes: true };
  const route = serveStream(kind, async function* (_, input) {
    yield* input;
  });
  const { clients, listener } = wayTo(route, { limits });
  const open = (input: StreamInput) => clients.stream(addressOf(listener), kind, {}, input);
  const received = Buffer.concat(await Array.fromAsync(await open(sent)));
  expect(received.equals(Buffer.concat(sent))).toBe(true);
  expect(await codeOf(textsOf(await open([new Uint8Array(5 * 1024 * 1024)])))).toBe("too_large");
});

test("C6: who is no member of the cluster opens no stream, and is sent nothing", async () => {
  let served = 0;
  const counting = streamRoute(() => [`${++served}`]);
  const server = listen({ tls: cluster.member("s"), streamRoutes: [counting], label: "ours" });
  const to = addressOf(server);
  const foreign = new TestCluster();
  const outsiders = [
    { ...foreign.member("x"), ca: [cluster.authority.cert] },
    foreign.member("x"),
    { ...cluster.member("c"), ca: [foreign.authority.cert] },
    null,
  ];
  for (const material of outsiders) {
    const clients = peers({ tls: () => material, label: "ours" });
    const code = await codeOf(clients.stream(to, KIND, {}, []));
    expect(["unavailable", "outcome_unknown"]).toContain(code);
  }
  const stranger = peers({ tls: () => cluster.member("c"), label: "theirs" });
  expect(await codeOf(stranger.stream(to, KIND, {}, []))).toBe("other_cluster");
  expect(served).toBe(0);
  const member = cluster.member("c");
  const friend = peers({ tls: () => member, label: "ours" });
  expect(await textsOf(await friend.stream(to, KIND, {}, []))).toEqual(["1"]);
  expect(await codeOf(friend.stream(to, { ...KIND, name: "other" }, {}, []))).toBe("not_found");
});

test("where nobody listens a stream is `unavailable`; one that is not taken is a `timeout`", async () => {
  const clients = peers();
  expect(await codeOf(clients.stream(`127.0.0.1:${freePort()}`, KIND, {}, []))).toBe("unavailable");
  const { open } = wayTo(streamRoute(() => new Promise<StreamInput>(() => {})));
  expect(await codeOf(open([], { timeoutMs: 50 }))).toBe("timeout");
});

test("streams outlive the renewal of a certificate; those to come show the new one", async () => {
  const { open, listener } = wayTo(echoStream);
  const old = await open(ticking());
  await old.next();
  listener.renew(cluster.member("s"));
  expect(await textsOf(await open(["new"]))).toEqual(["new"]);
  expect((await old.next()).done).toBe(false);
  await old.return?.();
});

test("text is sent as UTF-8", async () => {
  const { open } = wayTo(echoStream);
  const replies = await open(["grün"]);
  expect((await replies.next()).value).toEqual(bytes("grün"));
});
