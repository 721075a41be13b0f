import { afterEach, beforeEach, expect, test } from "bun:test";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { fromConnectError } from "../../src/rpc/errors.ts";
import { createTransport } from "../../src/rpc/transport.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";
import { fakeNode } from "./fake-node.ts";
import { FakeSemaphore } from "./fake-semaphore.ts";

const clock = systemClock();
let fake: FakeSemaphore;
let listener: HttpListener;
let client: Client<typeof HedgerowService>;
beforeEach(() => {
  fake = new FakeSemaphore();
  const node = fakeNode({ semaphore: fake.semaphore });
  listener = new HttpListener({ address: "127.0.0.1:0", clock });
  listener.serve(
    createHttpApp({
      node,
      api: createClientApi(node, clock),
      hostname: "pod-1",
      rules: { boundHost: "127.0.0.1", hosts: [], origins: [] },
      logger: silentLogger,
      clock,
    }),
  );
  const transport = createTransport({ clock, baseUrl: `http://${listener.address}` });
  client = createClient(HedgerowService, transport);
});
afterEach(() => listener.stop());

const codeOf = async (call: Promise<unknown>) => fromConnectError((await failureOf(call)) as never);

test("the first message is the grant, others prolong it, and leaving the stream releases", async () => {
  fake.heldForMs = 60;
  const leave = new AbortController();
  const request = { name: "jobs", limit: 1, owner: "me" };
  const seen: [string, number][] = [];
  const reading = failureOf(
    (async () => {
      for await (const { owner, lease } of client.holdSemaphore(request, {
        signal: leave.signal,
      })) {
        seen.push([owner, lease === undefined ? 0 : durationMs(lease)]);
      }
    })(),
  );
  await until("the grant and two more", () => seen.length >= 3);
  expect([seen[0], fake.holder]).toEqual([["me", 60], "me"]);
  expect(fake.asked).toEqual(["acquire jobs 1 none detached"]);
  leave.abort();
  await reading;
  await until("it is released", () => fake.holder === null);
});

test("without an owner each stream has one of its own", async () => {
  const owners = new Set<string>();
  for (let i = 0; i < 3; i++) {
    const leave = new AbortController();
    const stream = client.holdSemaphore({ name: "jobs", limit: 1 }, { signal: leave.signal });
    const { value } = await stream[Symbol.asyncIterator]().next();
    owners.add(value?.owner ?? "");
    leave.abort();
    await until("it is released", () => fake.holder === null);
  }
  expect(owners.size).toBe(3);
  for (const owner of owners) expect(owner).toStartWith("10.0.0.1:8080/");
});

test("a lost permit ends the stream with claim_lost, a stop of the server with stopped", async () => {
  const messages = client.holdSemaphore({ name: "jobs", limit: 1 })[Symbol.asyncIterator]();
  await messages.next();
  fake.lost.abort(new HedgerowError("claim_lost", "permit of jobs is lost: not renewed in time"));
  expect(await codeOf(messages.next())).toMatchObject({ code: "claim_lost" });
  await until("it is released", () => fake.holder === null);
  const others = client.holdSemaphore({ name: "jobs", limit: 1 })[Symbol.asyncIterator]();
  await others.next();
  const failed = codeOf(others.next());
  await listener.stop();
  expect(await failed).toMatchObject({ code: "stopped" });
  expect(fake.holder).toBeNull();
});

test("who goes away while it waits waits no longer", async () => {
  const gate = Promise.withResolvers<void>();
  fake.gate = gate.promise;
  const leave = new AbortController();
  const stream = client.holdSemaphore({ name: "jobs", limit: 1 }, { signal: leave.signal });
  const first = failureOf(stream[Symbol.asyncIterator]().next());
  await until("it asks", () => fake.signals.length === 1);
  leave.abort();
  await first;
  await until("the server has heard of it", () => fake.signals[0]?.aborted === true);
  gate.resolve();
});

test("leases: wait, owner and the errors of semaphores", async () => {
  const request = { name: "jobs", limit: 1, owner: "a" };
  const wait = durationFromMs(0);
  const { owner, lease } = await client.acquireSemaphore({ ...request, wait });
  expect([owner, lease && durationMs(lease)]).toEqual(["a", 1_000]);
  expect(fake.asked).toEqual([expect.stringMatching(/^tryAcquire jobs 1 \d+(\.\d+)? detached$/)]);
  const other = client.acquireSemaphore({ ...request, owner: "b" });
  expect(await codeOf(other)).toMatchObject({ code: "taken", message: "semaphore full" });
  const nobody = client.acquireSemaphore({ ...request, owner: "" });
  expect(await codeOf(nobody)).toMatchObject({ code: "invalid_argument" });
  expect(await client.releaseSemaphore(request)).toMatchObject({ released: true });
  expect(await client.releaseSemaphore(request)).toMatchObject({ released: false });
});
