import { expect, test } from "bun:test";
import { HedgerowError } from "../../../src/errors.ts";
import { HedgerowService } from "../../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import type { StreamInput } from "../../../src/node/api.ts";
import { until, untilStill } from "../../rpc/kit/wait.ts";
import { GrpcKit } from "./grpc-kit.ts";

type Data = Uint8Array<ArrayBuffer>;
const part = (value: Data) => ({ part: { case: "data" as const, value } });

async function* echo(input: StreamInput) {
  for await (const data of input) yield data as Uint8Array;
}

test("both directions flow at once: each answer brings the next question", async () => {
  await using kit = await GrpcKit.serving({ streamToLeader: echo });
  let next = Promise.withResolvers<void>();
  async function* questions() {
    for (let i = 0; i < 5; i++) {
      yield part(Uint8Array.of(i));
      await next.promise;
      next = Promise.withResolvers();
    }
  }
  const answers: number[] = [];
  for await (const { data } of kit.client(HedgerowService).streamToLeader(questions())) {
    answers.push(...data);
    next.resolve();
  }
  expect(answers).toEqual([0, 1, 2, 3, 4]);
});

test("messages of all sizes come whole and in their order", async () => {
  await using kit = await GrpcKit.serving({ streamToLeader: echo });
  const sizes = [0, 1, 100, 16_379, 16_384, 70_000, 1_000_000, 3];
  async function* input() {
    for (const [i, size] of sizes.entries()) yield part(new Uint8Array(size).fill(i));
  }
  let received = 0;
  for await (const { data } of kit.client(HedgerowService).streamToLeader(input())) {
    expect(data.length).toBe(sizes[received] as number);
    expect(data.every((byte) => byte === received)).toBe(true);
    received++;
  }
  expect(received).toBe(sizes.length);
});

test("a reader that stalls stops the sender; one that leaves ends it", async () => {
  let sent = 0;
  let signal: AbortSignal | undefined;
  let finished = false;
  await using kit = await GrpcKit.serving({
    async *streamToLeader(_, options) {
      signal = options?.signal;
      try {
        for (; ; sent++) yield new Uint8Array(64 * 1024);
      } finally {
        finished = true;
      }
    },
  });
  async function* once() {
    yield part(Uint8Array.of(1));
    await new Promise((resolve) => signal?.addEventListener("abort", resolve));
  }
  const leave = new AbortController();
  const call = kit.client(HedgerowService).streamToLeader(once(), { signal: leave.signal });
  const replies = call[Symbol.asyncIterator]();
  await replies.next();
  const stalledAt = await untilStill(() => sent);
  expect(stalledAt).toBeLessThan(1_000); // 64 MB, in sockets and streams on the way
  for (let i = 0; i < stalledAt; i++) await replies.next();
  await until("it goes on", () => sent > stalledAt);
  leave.abort();
  await until("the node is told", () => signal?.aborted === true && finished);
});

test("answers before an error come before it, also where the request goes on", async () => {
  await using kit = await GrpcKit.serving({
    async *streamToLeader() {
      yield Uint8Array.of(1);
      throw new HedgerowError("no_leader", "nobody leads, 100 % sure");
    },
  });
  async function* endless() {
    for (;;) {
      yield part(Uint8Array.of(1));
      await Bun.sleep(5);
    }
  }
  const got: number[] = [];
  let failure: unknown;
  try {
    for await (const { data } of kit.client(HedgerowService).streamToLeader(endless()))
      got.push(...data);
  } catch (error) {
    failure = error;
  }
  expect(got).toEqual([1]);
  expect(failure).toMatchObject({ rawMessage: "nobody leads, 100 % sure" });
});
