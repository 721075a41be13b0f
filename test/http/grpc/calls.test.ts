import { expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../../../src/errors.ts";
import { HedgerowService } from "../../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { PeerService } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import { GrpcListener } from "../../../src/http/grpc/listener.ts";
import { fromConnectError } from "../../../src/rpc/errors.ts";
import { withoutLong } from "../../rpc/kit/clock.ts";
import { clock, GrpcKit } from "./grpc-kit.ts";
import { lookedAtLater } from "../../rpc/kit/wait.ts";

async function failureOf(call: Promise<unknown>): Promise<HedgerowError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ConnectError);
  return fromConnectError(error as ConnectError);
}

const FAILURE = new HedgerowError("no_leader", "nobody leads: 100 % of ünits, try again", {
  leader: { address: "10.0.0.9:8080", token: 17, released: true },
  retryDelayMs: 250,
});

test("unary calls and streams", async () => {
  await using kit = await GrpcKit.serving();
  const client = kit.client(HedgerowService);
  expect((await client.status({})).node).toBe("10.0.0.1:8080");
  const { id } = await client.put({ key: "k", value: "v" });
  expect((await client.get({ key: "k" })).entries.map(({ value }) => value)).toEqual(["v"]);
  const replies = await Array.fromAsync(client.broadcast({ data: Buffer.from("hi") }));
  expect(replies.map(({ node }) => node)).toEqual(["10.0.0.1:8080", "10.0.0.2:8080"]);
  const versions = await Array.fromAsync(client.watchLog({ key: "k", fromId: "" }));
  expect(versions.map(({ entry }) => entry?.id)).toEqual([id]);
});

test("errors carry code, leader and retry delay, of unary calls and in streams", async () => {
  await using kit = await GrpcKit.serving({
    send: () => Promise.reject(FAILURE),
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    async *broadcastStream() {
      throw FAILURE;
    },
  });
  const client = kit.client(HedgerowService);
  const calls = [client.send({}), Array.fromAsync(client.broadcast({}))];
  for (const call of lookedAtLater(calls)) {
    const { code, message, leader, retryDelayMs } = await failureOf(call);
    expect({ code, message, leader, retryDelayMs }).toEqual({
      code: FAILURE.code,
      message: FAILURE.message,
      leader: FAILURE.leader,
      retryDelayMs: FAILURE.retryDelayMs,
    });
  }
});

test("a defect is told as no more than that", async () => {
  await using kit = await GrpcKit.serving({ send: () => Promise.reject(new Error("s3cret")) });
  const { code, message } = await failureOf(kit.client(HedgerowService).send({}));
  expect([code, message]).toEqual(["internal", "internal error"]);
});

test.each([
  ["the caller's deadline", () => ({ timeoutMs: 1_500 }), Code.DeadlineExceeded],
  ["the caller's leaving", () => ({ signal: AbortSignal.timeout(1_500) }), Code.Canceled],
] as const)("%s aborts what serves the call", async (_, options, code) => {
  for (const kind of ["unary", "stream"] as const) {
    const aborted = Promise.withResolvers<void>();
    const hang = (signal: AbortSignal | undefined) =>
      signal?.addEventListener("abort", () => aborted.resolve());
    await using kit = await GrpcKit.serving({
      send(_data, { signal } = {}) {
        hang(signal);
        return new Promise(() => {});
      },
      async *watch(_key, { signal } = {}) {
        hang(signal);
        await new Promise((resolve) => signal?.addEventListener("abort", resolve));
      },
    });
    const client = kit.client(HedgerowService);
    const call =
      kind === "unary"
        ? client.send({}, options())
        : Array.fromAsync(client.watchLog({ key: "k" }, options()));
    const error = await call.catch((thrown: unknown) => ConnectError.from(thrown));
    expect((error as ConnectError).code).toBe(code);
    await aborted.promise;
  }
});

test("a deadline of years is as good as none", async () => {
  await using kit = await GrpcKit.serving();
  const headers = { "grpc-timeout": "99999999S" };
  expect((await kit.client(HedgerowService).status({}, { headers })).node).toBe("10.0.0.1:8080");
});

test("a message over the limit is refused with our detail, the connection goes on, and a stop does not wait", async () => {
  const kit = await GrpcKit.serving({}, {}, withoutLong(clock));
  const client = kit.client(HedgerowService);
  const { code } = await failureOf(client.put({ key: "k", value: "x".repeat(30_000_000) }));
  expect(code).toBe("too_large");
  expect((await client.status({})).node).toBe("10.0.0.1:8080");
  await kit[Symbol.asyncDispose](); // which would wait for ever
});

test("what is not served is told", async () => {
  await using kit = await GrpcKit.serving();
  const call = kit.client(PeerService).append({});
  const error = await call.catch((thrown: unknown) => thrown);
  expect((error as ConnectError).code).toBe(Code.Unimplemented);
  expect((error as ConnectError).rawMessage).toBe(
    "nothing is served at /hedgerow.v1.PeerService/Append",
  );
});

test("until there is something to serve calls are told to try again", async () => {
  await using kit = await GrpcKit.starting();
  const { code, message } = await failureOf(kit.client(HedgerowService).status({}));
  expect([code, message]).toEqual(["unavailable", "the node is starting: try again"]);
});

test("a call whose token is not good is refused before its message is read", async () => {
  const asked: string[] = [];
  let sent = 0;
  await using kit = await GrpcKit.serving(
    { send: async () => new Uint8Array([++sent]) },
    {
      tokens: {
        permissionOf(token) {
          asked.push(token);
          return "read";
        },
        onChange: () => () => {},
      },
    },
  );
  const headers = { authorization: "Bearer t" };
  const { code } = await failureOf(kit.client(HedgerowService).send({}, { headers }));
  expect(code).toBe("forbidden");
  expect([asked, sent]).toEqual([["t"], 0]);
});

test("stop ends streams with `stopped`", async () => {
  const kit = await GrpcKit.serving();
  const members = kit.client(HedgerowService).watchMembers({})[Symbol.asyncIterator]();
  expect((await members.next()).value?.members.length).toBe(2);
  const end = failureOf(members.next());
  await kit.listener.stop();
  expect((await end).code).toBe("stopped");
  await kit[Symbol.asyncDispose]();
});

test("what is no gRPC at all ends its own connection, and no other", async () => {
  await using kit = await GrpcKit.serving();
  const client = kit.client(HedgerowService);
  await client.status({});
  await kit.raw("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await kit.raw(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\xff".repeat(100)}`);
  expect((await client.status({})).node).toBe("10.0.0.1:8080");
});

test("a port in use is told in one line with the flag", async () => {
  await using kit = await GrpcKit.starting();
  const { address } = kit.listener;
  const error = await GrpcListener.open({ address, clock }).catch((thrown: unknown) => thrown);
  expect((error as HedgerowError).message).toMatch(
    /^--grpc-addr 127\.0\.0\.1:\d+: port \d+ is in use: stop what listens there or choose another port$/,
  );
});
