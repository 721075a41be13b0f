import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HedgerowError } from "../../src/errors.ts";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import type { HedgerowOptions } from "../../src/node/options.ts";
import { type MemoryNetwork, memoryNetwork } from "../../src/rpc/memory-network.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";

const started: Hedgerow[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.stop()));
});

async function start(network: MemoryNetwork, options: HedgerowOptions = {}): Promise<Hedgerow> {
  const node = await Hedgerow.start({ store: "none", network, ...options });
  started.push(node);
  return node;
}

async function pair(options: HedgerowOptions = {}): Promise<[Hedgerow, Hedgerow]> {
  const network = memoryNetwork();
  const a = await start(network, { ...options, address: "a:1" });
  const b = await start(network, { ...options, address: "b:1", join: ["a:1"] });
  await until("both know both", () => a.members().length === 2 && b.members().length === 2);
  return [a, b];
}

/** What the other node answers to a broadcast of `a`. */
async function answerOf(a: Hedgerow, options = {}): Promise<Uint8Array | Error> {
  const [reply] = await a.broadcast("hello", { skipSelf: true, ...options });
  if (reply === undefined) throw new Error("nobody answered");
  return "data" in reply ? reply.data : reply.error;
}

test("nodes of one network are a cluster; those of another are not in it", async () => {
  const [a] = await pair({ onBroadcast: (data) => data });
  expect(await answerOf(a)).toEqual(new Uint8Array(Buffer.from("hello")));
  const elsewhere = await start(memoryNetwork(), { join: ["a:1"] });
  expect(elsewhere.address).toBe("memory:1");
  expect(elsewhere.members()).toHaveLength(1);
  expect(await failureOf(elsewhere.ready())).toMatchObject({ code: "unavailable" });
});

test("a node that is closed cannot be reached, and its address can be used again", async () => {
  const network = memoryNetwork();
  const a = await start(network, { address: "a:1" });
  const b = await start(network, { address: "b:1", join: ["a:1"] });
  expect(await failureOf(start(network, { address: "b:1" }))).toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("b:1 is in use in this network"),
  });
  expect(network.addresses).toEqual(["a:1", "b:1"]);
  await b.stop();
  expect(network.addresses).toEqual(["a:1"]);
  await until("it has left", () => a.members().length === 1);
  await start(network, { address: "b:1", join: ["a:1"] });
  await until("it is back", () => a.members().length === 2);
});

test("errors arrive as they are between machines: the handler's, the deadline's, the label's", async () => {
  const [a, b] = await pair({
    onBroadcast: () => {
      throw new Error("no");
    },
  });
  expect(await answerOf(a)).toMatchObject({ code: "handler_failed", message: "no" });
  await b.stop();
  const network = memoryNetwork();
  const hung = await start(network, { onBroadcast: () => new Promise(() => {}) });
  const asking = await start(network, { join: [hung.address] });
  expect(await answerOf(asking, { timeoutMs: 50 })).toMatchObject({
    code: "timeout",
    message: expect.stringContaining("within 50 ms"),
  });
  const other = await start(network, { label: "other", join: [hung.address] });
  expect(other.members()).toHaveLength(1);
  expect(hung.members()).toHaveLength(2);
});

test("a call under way to a node that goes has an unknown outcome", async () => {
  const called = Promise.withResolvers<void>();
  const [a, b] = await pair({
    onBroadcast: () => {
      called.resolve();
      return new Promise(() => {});
    },
  });
  const answer = answerOf(a, { timeoutMs: 60_000 });
  await called.promise;
  await b.stop();
  const error = await answer;
  expect(error).toBeInstanceOf(HedgerowError);
  expect(["outcome_unknown", "stopped"]).toContain((error as HedgerowError).code);
});

test("messages are copies: what a handler does to its own changes nobody else's", async () => {
  const [a] = await pair({
    onBroadcast: (data) => {
      data.fill(0);
      return data;
    },
  });
  const sent = new Uint8Array([1, 2, 3]);
  expect(await answerOf(a)).toEqual(new Uint8Array(5));
  await a.broadcast(sent, { skipSelf: true });
  expect(sent).toEqual(new Uint8Array([1, 2, 3]));
});

test("with a store the nodes of a network elect a leader", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-memory-network-"));
  try {
    const [a, b] = await pair({
      store: `sqlite:${join(folder, "x.db")}`,
      lease: "2s",
      onSend: (d) => d,
    });
    await until("both know a leader", () => a.leader !== null && b.leader === a.leader, 10_000);
    await b.put("k", "v");
    expect((await a.get("k"))[0]?.value).toBe("v");
    expect(Buffer.from(await a.sendToLeader("x")).toString()).toBe("x");
    expect(Buffer.from(await b.sendToLeader("y")).toString()).toBe("y");
    await Promise.all([a.stop(), b.stop()]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.each([
  [{ tls: { cert: "c", key: "k", ca: "a" } }, /^tls: a memory network has no connections/],
  [{ address: "a" }, /^a is no address in a memory network/],
  [{ network: {} }, /^network: give what memoryNetwork\(\) made/],
] as const)("%p is refused with its mend", async (options, message) => {
  const network = memoryNetwork();
  const error = await failureOf(start(network, options as unknown as HedgerowOptions));
  expect(error).toMatchObject({ code: "invalid_argument" });
  expect((error as Error).message).toMatch(message);
});

test("a node without a handler of streams names the option that takes one", async () => {
  const [a] = await pair();
  const problems: string[] = [];
  for await (const reply of a.streamBroadcast(["hello"], { skipSelf: true })) {
    if ("error" in reply) problems.push(reply.error.message);
  }
  expect(problems).toEqual([
    "streamBroadcast: no stream handler on this node: start it with onStreamBroadcast",
  ]);
});
