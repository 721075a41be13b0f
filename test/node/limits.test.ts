import { afterEach, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import type { HedgerowOptions } from "../../src/node/options.ts";
import { memoryNetwork } from "../../src/rpc/memory-network.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";

const started: Hedgerow[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.stop()));
});

/** Two nodes, each with its own limits. */
async function pair(a: HedgerowOptions, b: HedgerowOptions): Promise<[Hedgerow, Hedgerow]> {
  const network = memoryNetwork();
  for (const [address, options] of [
    ["a:1", a],
    ["b:1", { ...b, join: ["a:1"] }],
  ] as const) {
    started.push(await Hedgerow.start({ store: "none", network, address, ...options }));
  }
  const [first, second] = started as [Hedgerow, Hedgerow];
  await until("both know both", () => started.every((node) => node.members().length === 2));
  return [first, second];
}

/** What the other node answers: bytes, or the error's code. */
async function answerOf(node: Hedgerow, data: Uint8Array): Promise<number | string> {
  const [reply] = await node.broadcast(data, { skipSelf: true });
  if (reply === undefined) throw new Error("nobody answered");
  return "data" in reply ? reply.data.length : HedgerowError.from(reply.error).code;
}

const KIB = 1024;
const MIB = 1024 * KIB;

test("too_large: the limit of whoever receives counts, for messages and for replies", async () => {
  const echo = { onBroadcast: (data: Uint8Array) => data };
  const [large, small] = await pair({ ...echo, maxMessage: "8MiB" }, { ...echo, maxMessage: KIB });
  expect(await answerOf(large, new Uint8Array(KIB))).toBe(KIB);
  expect(await answerOf(large, new Uint8Array(KIB + 1))).toBe("too_large");
  expect(await answerOf(large, new Uint8Array(8 * MIB))).toBe("too_large");
  const own = small.broadcast(new Uint8Array(KIB + 1));
  expect(await failureOf(own)).toMatchObject({ code: "too_large" });
  const over = large.broadcast(new Uint8Array(8 * MIB + 1));
  expect(await failureOf(over)).toMatchObject({ code: "too_large" });
});

test("too_large: a reply over the asker's limit, and none that both take", async () => {
  const replies = (bytes: number) => ({ onBroadcast: () => new Uint8Array(bytes) });
  const [asker, answerer] = await pair(
    { ...replies(6 * MIB), maxMessage: "2KiB" },
    { ...replies(3 * KIB), maxMessage: "8MiB" },
  );
  expect(await answerOf(asker, new Uint8Array(1))).toBe("too_large");
  expect(await answerOf(answerer, new Uint8Array(1))).toBe("too_large");
  const [one, other] = await pair2("8MiB", 6 * MIB);
  expect(await answerOf(one, new Uint8Array(7 * MIB))).toBe(6 * MIB);
  expect(await answerOf(other, new Uint8Array(7 * MIB))).toBe(6 * MIB);
});

/** Two more, of one limit. */
async function pair2(maxMessage: string, replyBytes: number) {
  await Promise.all(started.splice(0).map((node) => node.stop()));
  const options = { maxMessage, onBroadcast: () => new Uint8Array(replyBytes) };
  return pair(options, options);
}

test("overloaded: more calls of others than may be under way; membership goes on", async () => {
  const release = Promise.withResolvers<string>();
  let entered = 0;
  const [asker, busy] = await pair(
    {},
    {
      maxCalls: 2,
      onBroadcast: () => {
        entered++;
        return release.promise;
      },
    },
  );
  const first = [answerOf(asker, new Uint8Array(1)), answerOf(asker, new Uint8Array(1))];
  await until("two are there", () => entered === 2);
  expect(await answerOf(asker, new Uint8Array(1))).toBe("overloaded");
  await busy.changeState("terminating");
  release.resolve("done");
  expect(await Promise.all(first)).toEqual([4, 4]);
  expect(await answerOf(asker, new Uint8Array(1))).toBe(4);
});

test("overloaded: more streams of one node than may be open, and too_large ends one", async () => {
  const options = {
    maxStreams: 1,
    maxMessage: "64KiB",
    async *onStreamBroadcast(messages: AsyncIterable<Uint8Array>) {
      for await (const message of messages) yield message;
    },
  };
  const [asker] = await pair({}, options);
  const ends: (() => void)[] = [];
  const open = (bytes: number) => {
    async function* input() {
      yield new Uint8Array(bytes);
      await new Promise<void>((resolve) => ends.push(resolve));
    }
    return asker.streamBroadcast(input(), { skipSelf: true })[Symbol.asyncIterator]();
  };
  const first = open(1);
  expect((await first.next()).value).toMatchObject({ node: "b:1" });
  const second = (await open(1).next()).value;
  expect(second).toMatchObject({ node: "b:1", error: { code: "overloaded" } });
  ends[0]?.();
  while (!(await first.next()).done); // what comes before its end means nothing
  const large = (await open(65 * KIB).next()).value;
  expect(large).toMatchObject({ node: "b:1", error: { code: "too_large" } });
  for (const end of ends) end();
});

test("what is out of range is refused with the mend", async () => {
  for (const [options, message] of [
    [{ maxMessage: 1000 }, "maxMessage: must be from 1KiB to 64MiB"],
    [{ maxMessage: "65MiB" }, "maxMessage: must be from 1KiB to 64MiB"],
    [{ maxMessage: "much" }, "maxMessage: much is no size"],
    [{ maxCalls: 0 }, "maxCalls: "],
    [{ maxStreams: 1.5 }, "maxStreams: "],
  ] as const) {
    const error = await failureOf(Hedgerow.start({ store: "none", ...options }));
    expect(error).toMatchObject({ code: "invalid_argument" });
    expect((error as Error).message).toStartWith(message);
  }
});
