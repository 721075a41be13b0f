import { expect, test } from "bun:test";
import { Cluster, freePlaces, LONG, type Node, until } from "./processes.ts";
import { type ClientStream, StreamClient } from "./stream-client.ts";

const STREAMS = 100;
/** Every stream has ended on both sides by then. */
const ENDED_MS = 2_000;

/** A message each 50 ms, for as long as the stream is open. */
async function chat(stream: ClientStream): Promise<void> {
  for (let i = 0; stream.end === null; i++) {
    await stream.send(`${i}`);
    await Promise.race([Bun.sleep(50), stream.ended]);
  }
}

async function openMany(client: StreamClient): Promise<ClientStream[]> {
  const streams = Array.from({ length: STREAMS }, () => client.open("StreamToLeader"));
  for (const stream of streams) void chat(stream);
  await until("all flow", 10_000, () => streams.every(({ received }) => received.length >= 4));
  return streams;
}

/** Streams between this node and others, as it says itself. */
async function streamsOf(node: Node): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(/^hedgerow_peer_streams_open (\d+)$/m.exec(text)?.[1]);
}

async function endOfAll(streams: readonly ClientStream[], since: number): Promise<number> {
  await until("all end", ENDED_MS, () => streams.every(({ end }) => end !== null));
  const tookMs = performance.now() - since;
  const ends = new Set(streams.map(({ end }) => end));
  expect(ends.has("well")).toBe(false);
  expect(ends.has("cut")).toBe(false);
  return tookMs;
}

for (const signal of ["SIGKILL", "SIGSTOP", "SIGTERM"] as const) {
  test(`C8: the leader gets ${signal} under ${STREAMS} streams: each ends with a typed error within 2 s, on both sides`, async () => {
    await using cluster = await Cluster.start();
    const leader = await cluster.settled();
    const caller = cluster.nodes.find((node) => node !== leader) as Node;
    using client = new StreamClient(caller.url);
    const streams = await openMany(client);
    expect(await streamsOf(caller)).toBe(STREAMS);
    expect(await streamsOf(leader)).toBe(STREAMS);
    const since = performance.now();
    leader.signal(signal);
    const tookMs = await endOfAll(streams, since);
    console.log(`${signal}: all ended after ${Math.round(tookMs)} ms: ${streams[0]?.end}`);
    expect(await streamsOf(caller)).toBe(0);
    if (signal === "SIGSTOP") {
      leader.signal("SIGCONT");
      await until("the leader's side ends", ENDED_MS, async () => (await streamsOf(leader)) === 0);
    }
  }, 60_000);
}

test(`C8: the caller is killed or stopped under ${STREAMS} streams: the leader's side ends within 2 s`, async () => {
  await using cluster = await Cluster.start();
  const leader = await cluster.settled();
  const callers = cluster.nodes.filter((node) => node !== leader);
  for (const [i, signal] of (["SIGKILL", "SIGSTOP"] as const).entries()) {
    const caller = callers[i] as Node;
    using client = new StreamClient(caller.url);
    await openMany(client);
    expect(await streamsOf(leader)).toBe(STREAMS);
    caller.signal(signal);
    await until(`${signal}: they end`, ENDED_MS, async () => (await streamsOf(leader)) === 0);
  }
}, 60_000);

test("a broadcast stream reaches all members; the demo's endpoints stream too", async () => {
  await using cluster = await Cluster.start();
  await cluster.settled();
  const [node] = cluster.nodes as [Node];
  expect(await node.demo("/streamsend", "")).toEqual({ status: 200, text: "OK" });
  expect(await node.demo("/streambroadcast", "")).toEqual({ status: 200, text: "OK" });
  using client = new StreamClient(node.url);
  const stream = client.open("StreamBroadcast");
  await stream.send("x");
  stream.finish();
  expect(await stream.ended).toBe("well");
  expect(stream.received.length).toBe(6);
  expect(new Set(stream.received).size).toBe(2);
});

function residentMb(node: Node): number {
  const { stdout } = Bun.spawnSync(["grep", "VmRSS", `/proc/${node.pid}/status`]);
  return Number(/\d+/.exec(stdout.toString())?.[0]) / 1024;
}

const MANY = 1_000;
const MESSAGES = LONG ? 1_000 : 20;

test.each(["connect", "grpc"] as const)(
  `C8: ${MANY} streams at once on one node over %s, each with ${MESSAGES} messages: all complete, memory falls back`,
  async (protocol) => {
    await using cluster = await Cluster.start({ places: await freePlaces(2, { grpc: true }) });
    const leader = await cluster.settled();
    const caller = cluster.nodes.find((node) => node !== leader) as Node;
    const url = protocol === "grpc" ? `http://${caller.grpc}` : caller.url;
    using client = new StreamClient(url, protocol);
    const before = residentMb(caller);
    let most = before;
    const watching = setInterval(() => {
      most = Math.max(most, residentMb(caller));
    }, 50);
    const since = performance.now();
    const one = async () => {
      const stream = client.open("StreamToLeader");
      for (let i = 0; i < MESSAGES; i++) await stream.send(`${i}`);
      stream.finish();
      expect(await stream.ended).toBe("well");
      expect(stream.received.length).toBe(2 * MESSAGES);
      expect(stream.received.every((text, i) => text === (i % 2 === 0 ? "one" : "two"))).toBe(true);
    };
    await Promise.all(Array.from({ length: MANY }, one));
    clearInterval(watching);
    const tookMs = performance.now() - since;
    console.log(`${Math.round(tookMs)} ms, memory ${Math.round(before)} -> ${Math.round(most)} MB`);
    expect(most - before).toBeLessThan(200);
    await until("memory falls back", 30_000, () => residentMb(caller) - before < 100);
    expect(await streamsOf(caller)).toBe(0);
  },
  LONG ? 600_000 : 60_000,
);

const STALL_MS = LONG ? 60_000 : 4_000;

test(
  `C8: a stalled reader holds the writer back for ${STALL_MS / 1e3} s: memory stays flat`,
  async () => {
    await using cluster = await Cluster.start({ nodes: 2 });
    const leader = await cluster.settled();
    const caller = cluster.nodes.find((node) => node !== leader) as Node;
    using client = new StreamClient(caller.url);
    const stream = client.open("StreamToLeader");
    stream.stall();
    let sent = 0;
    const text = "x".repeat(4 * 1024);
    const writing = (async () => {
      while (stream.end === null) {
        await stream.send(text);
        sent++;
      }
    })();
    let last = -1;
    await until("the writer is held back", 20_000, async () => {
      const now = sent;
      await Bun.sleep(500);
      const still = now === last && sent === now;
      last = now;
      return still;
    });
    const nodes = [caller, leader];
    const before = nodes.map(residentMb);
    const stalledAt = sent;
    await Bun.sleep(STALL_MS);
    const grown = nodes.map((node, i) => residentMb(node) - (before[i] as number));
    console.log(
      `${stalledAt} messages until it was held back; grown by ${grown.map(Math.round)} MB`,
    );
    expect(sent).toBe(stalledAt);
    expect(Math.max(...grown)).toBeLessThan(16);
    stream.cut();
    await writing;
    await until("the leader's side ends", 5_000, async () => (await streamsOf(leader)) === 0);
  },
  LONG ? 120_000 : 60_000,
);
