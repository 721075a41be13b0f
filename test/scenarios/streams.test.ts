import { afterEach, expect, test } from "bun:test";
import type { BroadcastReply } from "../../src/node/api.ts";
import { Reader, type Served, streamStory, ticking } from "./stream-kit.ts";
import type { Story } from "./world.ts";

let story: Story;
let served: Served[];
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

const text = (data: Uint8Array) => Buffer.from(data).toString();

test("a stream to the leader: both directions, its metadata, a good end on both sides", () => {
  ({ story, served } = streamStory());
  const leader = story.settledLeader();
  for (const caller of [story.follower(), leader]) {
    served.length = 0;
    const reader = new Reader(
      caller.core.streams.toLeader(["a", "b", ""], { metadata: { purpose: "test" } }),
    );
    story.until("it ends", 1_000, () => reader.end !== null);
    expect(reader.end).toBe("well");
    expect(reader.received.map(text)).toEqual(["a", "b", ""]);
    expect(served).toMatchObject([{ node: leader.address, end: "well", messages: ["a", "b", ""] }]);
    const [{ context }] = served as [Served];
    expect(context).toMatchObject({ from: caller.address, metadata: { purpose: "test" } });
    expect(context.id).toBe(context.metadata.id as string);
    expect(context.id).not.toBe("");
    expect(context.signal.aborted).toBe(true);
  }
});

test("C1: without a leader a stream ends with a typed error by its deadline", () => {
  ({ story, served } = streamStory());
  story.cluster.storeFaults.down = true;
  story.pass(1_000);
  const { streams } = story.follower().core;
  const bounded = story.outcome(streams.toLeader(["x"], { timeoutMs: 1_500 }).next());
  expect(bounded.error?.code).toBe("no_leader");
  expect(bounded.tookMs).toBeCloseTo(1_500, 0);
  expect(story.outcome(streams.toLeader(["x"]).next()).tookMs).toBeLessThan(10_001);
});

test("C8: streams whose other end vanishes end on both sides within 2 s: a crash, a partition, a pause", () => {
  for (const fault of ["crash", "partition", "pause"] as const) {
    ({ story, served } = streamStory());
    const leader = story.settledLeader();
    const caller = story.follower();
    const readers = Array.from({ length: 100 }, (_, i) => {
      return new Reader(caller.core.streams.toLeader(ticking(caller.machine, 10 + i)));
    });
    story.pass(500);
    if (fault === "crash") story.cluster.crash(leader);
    else if (fault === "pause") story.cluster.pause(leader);
    else story.cluster.partition([leader], false);
    const tookMs = story.until(`${fault}: all end`, 2_000, () => readers.every(({ end }) => end));
    for (const { end } of readers) expect(["outcome_unknown", "not_leader"]).toContain(codeOf(end));
    if (fault === "pause") {
      story.cluster.resume(leader);
      story.pass(2_000);
    }
    if (fault === "crash") continue;
    story.pass(2_000 - tookMs);
    expect(served.length).toBe(100);
    for (const { end, left } of served) {
      expect(left).toBe(true);
      expect(["outcome_unknown", "not_leader", "canceled"]).toContain(codeOf(end));
    }
  }
});

test("C8: the caller vanishes: the handler's side ends within 2 s", () => {
  ({ story, served } = streamStory());
  story.settledLeader();
  const caller = story.follower();
  new Reader(caller.core.streams.toLeader(ticking(caller.machine, 20)));
  story.pass(500);
  story.cluster.pause(caller);
  story.until("the handler is told", 2_000, () => served[0]?.left === true);
  expect(codeOf((served[0] as Served).end)).toBe("outcome_unknown");
});

test("a leader that loses its lease ends its streams, and names its successor if it knows it", () => {
  ({ story, served } = streamStory());
  const leader = story.settledLeader();
  const caller = story.follower();
  const reader = new Reader(caller.core.streams.toLeader(ticking(caller.machine, 20)));
  story.pass(200);
  story.cluster.storeFaults.down = true; // it cannot renew
  story.until("the stream ends", 3_000, () => reader.end !== null);
  expect(codeOf(reader.end)).toBe("not_leader");
  expect(leader.core.isLeader).toBe(false);
  expect(codeOf((served[0] as Served).end)).toBe("not_leader");
});

test("L7: a leader that wakes after its lease gives no message of a stream to its handler", () => {
  ({ story, served } = streamStory());
  const leader = story.settledLeader();
  const caller = story.follower();
  const reader = new Reader(caller.core.streams.toLeader(ticking(caller.machine, 20)));
  story.pass(200);
  const before = (served[0] as Served).messages.length;
  story.cluster.pause(leader);
  story.pass(3_000);
  story.cluster.resume(leader);
  story.pass(1_000);
  expect((served[0] as Served).messages.length).toBe(before);
  expect(reader.end).not.toBeNull();
});

test("a stream ends when another node leads, though its own leader still answers", () => {
  ({ story, served } = streamStory());
  const leader = story.settledLeader();
  const caller = story.follower();
  const reader = new Reader(caller.core.streams.toLeader(ticking(caller.machine, 20)));
  story.pass(200);
  void leader.core.resign();
  story.until("the stream ends", 1_000, () => reader.end !== null);
  expect(codeOf(reader.end)).toBe("not_leader");
});

test("a planned stop of either side ends its streams with a typed error", () => {
  for (const stopping of ["leader", "caller"] as const) {
    ({ story, served } = streamStory());
    const leader = story.settledLeader();
    const caller = story.follower();
    const reader = new Reader(caller.core.streams.toLeader(ticking(caller.machine, 20)));
    story.pass(200);
    story.cluster.stop(stopping === "leader" ? leader : caller);
    story.until("both sides end", 2_000, () => reader.end !== null && served[0]?.left === true);
    const codes = stopping === "leader" ? ["not_leader", "stopped"] : ["stopped"];
    expect(codes).toContain(codeOf(reader.end));
  }
});

test("early break, a caller's signal and a time-out end the handler's side", () => {
  ({ story, served } = streamStory());
  story.settledLeader();
  const caller = story.follower();
  const open = (options = {}) => caller.core.streams.toLeader(ticking(caller.machine, 20), options);
  const controller = new AbortController();
  story.cluster.scheduler.after(100, () => controller.abort());
  const early = open();
  story.outcome(early.next());
  void early.return?.();
  const aborted = new Reader(open({ signal: controller.signal }));
  const late = new Reader(open({ timeoutMs: 150 }));
  story.until("all are left", 1_000, () => served.length === 3 && served.every(({ left }) => left));
  expect(codeOf(aborted.end)).toBe("canceled");
  expect(codeOf(late.end)).toBe("timeout");
  expect(served.map(({ end }) => codeOf(end)).sort()).toEqual(["canceled", "canceled", "timeout"]);
});

test("a broadcast stream reaches all members, and each reply says whose it is", () => {
  ({ story, served } = streamStory({ nodes: 4 }));
  story.settledLeader();
  const caller = story.follower();
  const reader = new Reader<BroadcastReply>(caller.core.streams.toAll(["a", "b"]));
  story.until("it ends", 2_000, () => reader.end !== null);
  expect(reader.end).toBe("well");
  for (const { address } of story.cluster.nodes) {
    const replies = reader.received.filter(({ node }) => node === address);
    expect(replies.map((reply) => ("data" in reply ? text(reply.data) : reply.error))).toEqual([
      "a",
      "b",
    ]);
  }
  const others = new Reader<BroadcastReply>(
    caller.core.streams.toAll(["x"], {
      skipSelf: true,
      onlySendTo: [caller.address, "10.0.0.1:8080", "10.9.9.9:1"],
    }),
  );
  story.until("it ends", 2_000, () => others.end !== null);
  const expected = caller.address === "10.0.0.1:8080" ? [] : ["10.0.0.1:8080"];
  expect(others.received.map(({ node }) => node)).toEqual(expected);
});

test("C2: a hung member ends with an error of its own; the others' streams go on", () => {
  ({ story, served } = streamStory({ nodes: 4 }));
  const leader = story.settledLeader();
  const caller = story.follower(0);
  const hung = story.follower(1);
  const reader = new Reader<BroadcastReply>(caller.core.streams.toAll(ticking(caller.machine, 20)));
  story.pass(500);
  story.cluster.pause(hung);
  story.until("it is told of the hung one", 2_000, () =>
    reader.received.some((reply) => reply.node === hung.address && "error" in reply),
  );
  const count = () => reader.received.filter(({ node }) => node === leader.address).length;
  const before = count();
  story.pass(1_000);
  expect(count()).toBeGreaterThan(before + 40);
  expect(reader.end).toBeNull();
});

function codeOf(end: Served["end"]): string {
  return end === null ? "not ended" : end === "well" ? end : end.code;
}
