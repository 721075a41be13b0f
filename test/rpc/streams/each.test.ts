import { expect, test } from "bun:test";
import { HedgerowError } from "../../../src/errors.ts";
import type { StreamInput } from "../../../src/rpc/port.ts";
import { exchangeOverSocket } from "../../../src/rpc/streams/over-socket.ts";
import { addressOf, listen, peers } from "../kit/nodes.ts";
import { KIND, streamRoute, texts } from "../kit/streams.ts";
import { failureOf, until } from "../kit/wait.ts";

// What is taken as it comes, and whose memory is free then. test/fuzz/stream-lending.test.ts overwrites it.

async function* endless(): AsyncGenerator<string> {
  for (;;) yield "more";
}

test("replies that are taken as they come: those that wait already, to the end, up to an error, or until they are left", async () => {
  const ends: string[] = [];
  const route = streamRoute(async function* (input, { signal }) {
    try {
      yield* input;
    } finally {
      ends.push(signal.aborted ? HedgerowError.from(signal.reason).code : "well");
    }
  });
  const address = addressOf(listen({ tls: null, streamRoutes: [route] }));
  const clients = peers({ tls: () => null });
  const open = (input: StreamInput) => clients.stream(address, KIND, {}, input);
  const taken: string[] = [];
  const take = (message: Uint8Array) => void taken.push(Buffer.from(message).toString());
  const replies = await open(texts("a", "b", "c"));
  await replies.next();
  await until("it has answered", () => ends.length === 1);
  await replies.each(take);
  expect(taken.splice(0)).toEqual(["b", "c"]);
  async function* broken() {
    yield "d";
    await until("it came back", () => taken.length === 1);
    throw new Error("of the caller's own");
  }
  expect(HedgerowError.from(await failureOf((await open(broken())).each(take))).code).toBe(
    "canceled",
  );
  expect(taken.splice(0)).toEqual(["d"]);
  const enough = new Error("enough");
  const left = (await open(endless())).each(() => {
    throw enough;
  });
  expect(await failureOf(left)).toBe(enough);
  await until("it is told", () => ends.length === 3);
  expect(ends).toEqual(["well", "canceled", "canceled"]);
});

test("what came is freed at once, unless something of the same piece is kept", async () => {
  const answer = `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nkeep\r\n4\r\nfree\r\n0\r\n\r\n`;
  for (const isKept of [true, false]) {
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.write(answer) },
    });
    const given: Uint8Array[] = [];
    await exchangeOverSocket(`127.0.0.1:${server.port}`, "/x", null, {
      headers: {},
      signal: new AbortController().signal,
      next: async () => null,
      answered() {},
      receive(bytes) {
        given.push(bytes);
        return !isKept || Buffer.from(bytes).toString() === "free";
      },
    });
    expect(given.map(({ length }) => length)).toEqual(isKept ? [4, 4] : [0, 0]);
  }
});
