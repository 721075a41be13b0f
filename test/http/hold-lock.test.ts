import { afterEach, expect, test } from "bun:test";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { HttpListener } from "../../src/http/listener.ts";
import type * as api from "../../src/node/api.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { createTransport } from "../../src/rpc/transport.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";
import { fakeLock } from "./fake-lock.ts";
import { fakeNode } from "./fake-node.ts";

const clock = systemClock();
const open: (() => Promise<unknown>)[] = [];
afterEach(() => Promise.all(open.splice(0).map((close) => close())));

/** Holds go by `time`. */
function serving(
  replaced: Partial<api.HedgerowNode>,
  time: Clock = clock,
): Client<typeof HedgerowService> {
  const node = fakeNode(replaced);
  const listener = new HttpListener({ address: "127.0.0.1:0", clock });
  open.push(() => listener.stop());
  listener.serve(
    createHttpApp({
      node,
      api: createClientApi(node, time),
      hostname: "pod-1",
      rules: { boundHost: "127.0.0.1", hosts: [], origins: [] },
      logger: silentLogger,
      clock,
    }),
  );
  const transport = createTransport({ clock, baseUrl: `http://${listener.address}` });
  return createClient(HedgerowService, transport);
}

test("the first message is the grant, others prolong it, and leaving the stream releases", async () => {
  const { lock, calls, state } = fakeLock(() => 60);
  const client = serving({ lock });
  const leave = new AbortController();
  const stream = client.holdLock({ name: "jobs", leaseMs: 5_000 }, { signal: leave.signal });
  const seen: [string, number][] = [];
  const reading = failureOf(
    (async () => {
      for await (const { token, lease } of stream) {
        seen.push([token, lease === undefined ? 0 : durationMs(lease)]);
      }
    })(),
  );
  await until("the grant and two more", () => seen.length >= 3);
  expect(seen[0]).toEqual(["1735787045123456", 60]);
  expect(calls).toEqual([
    ["lock", "jobs", 5_000],
    ["acquire", undefined],
  ]);
  expect(state.released).toBe(0);
  leave.abort();
  await reading;
  await until("it is released", () => state.released === 1);
});

test("a lost lock ends the stream with claim_lost", async () => {
  const { lock, lost, state } = fakeLock(() => 10_000);
  const client = serving({ lock });
  const messages = client.holdLock({ name: "jobs" })[Symbol.asyncIterator]();
  await messages.next();
  lost.abort(new HedgerowError("claim_lost", "lock is lost: not renewed in time"));
  const error = fromConnectError((await failureOf(messages.next())) as never);
  expect(error.code).toBe("claim_lost");
  expect(error.message).toContain("not renewed in time");
  await until("it is released", () => state.released === 1);
});

test("under a name it is held while signs of life come, and given up once they must have been missed", async () => {
  const { lock, state } = fakeLock(() => 150);
  const time = new ManualClock();
  const client = serving({ lock }, time);
  const messages = client.holdLock({ name: "jobs", hold: "h-1" })[Symbol.asyncIterator]();
  await messages.next();
  const passes = async (ms: number) => {
    for (; ms > 0; ms -= 50) {
      await until("it waits", () => time.timers.size > 0);
      time.pass(50);
    }
  };
  for (let times = 0; times < 6; times++) {
    await passes(50);
    const { lease } = await client.keepHold({ hold: "h-1" });
    expect(lease && durationMs(lease)).toBe(150);
    await passes(50);
    expect((await messages.next()).done).toBe(false);
  }
  const ending = failureOf(messages.next());
  await passes(100);
  await until("it waits on", () => time.timers.size > 0);
  expect(state.released).toBe(0); // it may believe for 150 ms, and be slow
  await passes(100);
  const failed = await ending;
  const error = fromConnectError(failed as never);
  expect(error).toMatchObject({ code: "claim_lost" });
  expect(error.message).toContain("nothing was heard of its holder");
  await until("it is released", () => state.released === 1);
  const late = await failureOf(client.keepHold({ hold: "h-1" }));
  expect(fromConnectError(late as never).code).toBe("not_found");
});

test("KeepHold says for how long it is held, and nothing while it is waited for", async () => {
  const gate = Promise.withResolvers<void>();
  const { lock } = fakeLock(() => 7_000);
  const patient = (name: string): api.Lock => ({
    ...lock(name),
    acquire: async (call) => {
      await gate.promise;
      return await lock(name).acquire(call);
    },
  });
  const client = serving({ lock: patient });
  const messages = client.holdLock({ name: "jobs", hold: "h-1" })[Symbol.asyncIterator]();
  const first = messages.next();
  const kept = () => client.keepHold({ hold: "h-1" }).catch(() => null);
  await until("it is waited for", async () => (await kept()) !== null);
  expect((await kept())?.lease).toBeUndefined();
  gate.resolve();
  await first;
  const lease = (await kept())?.lease;
  expect(lease && durationMs(lease)).toBe(7_000);
});

test("two streams under one name: the second is refused", async () => {
  const { lock } = fakeLock(() => 10_000);
  const client = serving({ lock });
  const messages = client.holdLock({ name: "jobs", hold: "h-1" })[Symbol.asyncIterator]();
  await messages.next();
  const second = client.holdLock({ name: "jobs", hold: "h-1" })[Symbol.asyncIterator]();
  expect(fromConnectError((await failureOf(second.next())) as never).code).toBe("already_held");
});

test("a server that stops ends the stream and releases", async () => {
  const { lock, state } = fakeLock(() => 10_000);
  const client = serving({ lock });
  const messages = client.holdLock({ name: "jobs" })[Symbol.asyncIterator]();
  await messages.next();
  const [stop] = open;
  await stop?.();
  await failureOf(messages.next());
  expect(state.released).toBe(1);
});

test("wait: none waits for ever, a time bounds it, 0 tries once", async () => {
  const { lock, calls } = fakeLock(() => 10_000);
  const client = serving({ lock });
  for (const wait of [undefined, durationFromMs(2_500), durationFromMs(0)]) {
    const leave = new AbortController();
    const request = { name: "jobs", ...(wait !== undefined && { wait }) };
    const stream = client.holdLock(request, { signal: leave.signal });
    await stream[Symbol.asyncIterator]().next();
    leave.abort();
  }
  expect(calls.filter(([how]) => how !== "lock")).toEqual([
    ["acquire", undefined],
    ["acquire", 2_500],
    ["tryAcquire", undefined],
  ]);
});

test("what the lock refuses is the stream's error", async () => {
  const taken = new HedgerowError("taken", "lock is held");
  const tryAcquire = () => Promise.reject(taken);
  const client = serving({ lock: (name) => ({ name, acquire: tryAcquire, tryAcquire }) });
  const messages = client.holdLock({ name: "jobs", wait: durationFromMs(0) });
  const failed = await failureOf(messages[Symbol.asyncIterator]().next());
  expect(fromConnectError(failed as never).code).toBe("taken");
});
