import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hedgerow } from "../../src/node/hedgerow.ts";

// biome-ignore lint/suspicious/noExplicitAny: what callers without types do.
type Untyped = any;

let folder = "";
let node: Untyped;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-arguments-"));
  const store = `sqlite:${join(folder, "hedgerow.db")}`;
  node = await Hedgerow.start({ store, address: "127.0.0.1:0", tls: "none" });
});
afterAll(async () => {
  await node.stop();
  await rm(folder, { recursive: true });
});

const CALLS: [(node: Untyped) => unknown, string][] = [
  [(n) => n.put(1, "v"), "put: key is a number: give a string"],
  [(n) => n.put("k"), "put: value is undefined: give a string"],
  [(n) => n.put("k", null), "put: value is null: give a string"],
  [(n) => n.put("k", "v", 7), "put: options are a number: give an object with timeoutMs, signal,"],
  [(n) => n.put("k", "v", []), "put: options are an array: give an object with"],
  [
    (n) => n.put("k", "v", { ttl: 5 }),
    'put: no option "ttl": there are timeoutMs, signal, noAppend',
  ],
  [(n) => n.put("k", "v", { timeoutMs: Number.NaN }), "put: timeoutMs is NaN: give a number of"],
  [(n) => n.put("k", "v", { timeoutMs: "1s" }), "put: timeoutMs is a string: give a number of"],
  [(n) => n.put("k", "v", { signal: {} }), "put: signal is an object: give an AbortSignal"],
  [(n) => n.put("k", "v", { noAppend: "yes" }), "put: noAppend is a string: give true or false"],
  [(n) => n.put("k", "v", { id: 1 }), "put: id is a number: give a string"],
  [
    (n) => n.put("k", "v", { fence: { name: "l" } }),
    "put: fence is an object: give { name, token }",
  ],
  [(n) => n.put("k", "v", { constructor: 1 }), 'put: no option "constructor"'],
  [(n) => n.get(undefined), "get: key is undefined: give a string"],
  [(n) => n.get("k", { limit: 1.5 }), "get: limit is a number: give a whole number"],
  [(n) => n.watch(5), "watch: key is a number"],
  [(n) => n.watch("k", { timeoutMs: 5 }), 'watch: no option "timeoutMs": there are fromId, signal'],
  [(n) => n.send({ a: 1 }), "send: data is an object: give a string or a Uint8Array"],
  [(n) => n.send(new ArrayBuffer(8)), "send: data is an object: give a string or a Uint8Array"],
  [(n) => n.sendToLeader("x", { retries: "many" }), "sendToLeader: retries is a string"],
  [(n) => n.broadcast(), "broadcast: data is undefined"],
  [
    (n) => n.broadcast("x", { onlySendTo: "a:1" }),
    "broadcast: onlySendTo is a string: give an array of",
  ],
  [(n) => n.broadcastStream("x", { skipSelf: 1 }).next(), "broadcast: skipSelf is a number"],
  [(n) => n.lock(5), "lock: name is a number: give a string"],
  [
    (n) => n.lock("l", { leaseMs: "5s" }),
    "lock: leaseMs is a string: give a number of milliseconds",
  ],
  [(n) => n.lock("l", { leaseMs: 1 }), "lock: a lease of 1 ms: give 1000 to 86400000"],
  [
    (n) => n.lock("l").acquire({ wait: 1 }),
    'acquire: no option "wait": there are timeoutMs, signal',
  ],
  [(n) => n.lock("l").tryAcquire("now"), "tryAcquire: options are a string"],
  [(n) => n.semaphore("s"), "semaphore: limit is undefined: give a whole number"],
  [(n) => n.semaphore("s", 0), "a semaphore's limit of 0: give a whole number from 1 to"],
  [(n) => n.semaphore("s", 1).acquire({ owner: 5 }), "acquire: owner is a number"],
  [(n) => n.streamToLeader("text"), "streamToLeader: input is a string: give an iterable of"],
  [
    (n) => n.streamToLeader(new Uint8Array(2)),
    "streamToLeader: input is an object: give an iterable",
  ],
  [
    (n) => n.streamToLeader([], { metadata: { a: 1 } }),
    "streamToLeader: metadata is an object: give an",
  ],
  [(n) => n.streamBroadcast([], { skipself: true }), 'streamBroadcast: no option "skipself"'],
  [(n) => n.spill(7), "spill: name is a number: give a string"],
  [(n) => n.spill("s", { memoryBytes: "1 MB" }), "spill: memoryBytes is a string: give a number"],
  [
    (n) => n.spill("s", { memory: 1 }),
    'spill: no option "memory": there are memoryBytes, diskBytes',
  ],
  [(n) => n.findSpill(), "findSpill: name is undefined: give a string"],
  [(n) => n.observe(), "observe: observer is undefined: give a function"],
  [(n) => n.observe(() => {}, { participantsOnly: 1 }), "observe: participantsOnly is a number"],
  [(n) => n.join("a:1"), "join: addresses is a string: give an array of strings"],
  [(n) => n.changeState("leader"), 'changeState: state is a string: give "viewer", "participant"'],
  [() => Hedgerow.start(5 as Untyped), "options: "],
  [() => Hedgerow.start({ storage: "x" } as Untyped), "storage"],
  [() => Hedgerow.start({ logger: console.log } as Untyped), "logger: must have debug, info, warn"],
];

test.each(CALLS)("%p: one line that names what is wrong and the mend", async (call, message) => {
  const error = await (async () => call(node))().then(
    () => "nothing was thrown",
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: "HedgerowError", code: "invalid_argument" });
  expect((error as Error).message).toContain(message);
  expect((error as Error).message).not.toContain("\n");
});

test("what may be left out may be undefined, and no time-out is Infinity", async () => {
  const options = { timeoutMs: undefined, signal: undefined, id: undefined, noAppend: undefined };
  const { id } = await node.put("k", "v", options);
  expect(await node.get("k", { timeoutMs: Infinity })).toMatchObject([{ id }]);
  await using held = await node.lock("l").acquire({ timeoutMs: Infinity });
  expect(held.heldForMs).toBeGreaterThan(0);
});

test("a time that is over already is a time-out, in one line that says it once", async () => {
  for (const timeoutMs of [0, -5]) {
    const error = await node.put("k", "v", { timeoutMs }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "timeout", message: "put: not done within 0 ms" });
  }
});

test("a handler that gives what is no message fails for its caller, who is told", async () => {
  const store = `sqlite:${join(folder, "other.db")}`;
  const onSend = (() => 5) as Untyped;
  await using other = await Hedgerow.start({ store, address: "127.0.0.1:0", tls: "none", onSend });
  const error = await other.sendToLeader("x").catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "handler_failed",
    message: expect.stringContaining("gave a number: return a string, a Uint8Array or nothing"),
  });
});
