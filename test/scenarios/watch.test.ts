import { afterEach, expect, test } from "bun:test";
import type { StoredEntry } from "../../src/store/ports.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Watcher } from "./watcher.ts";
import { LEASE_MS, Story } from "./world.ts";

let story: Story;
/** Whether somebody wrote past the leader, which its checker takes for a former leader. */
let directWrites = false;
afterEach(() => {
  expect(story.violations).toEqual([]);
  if (!directWrites) expect(story.observer.violations).toEqual([]);
  directWrites = false;
});

function put(node: SimulatedNode, value: string, options = {}): StoredEntry["id"] {
  const { value: written, error } = story.outcome(node.core.log.put("key", value, options));
  if (written === null) throw error;
  return written.id;
}

/** Passes time until all watchers have seen as many; gives the milliseconds. */
const untilSeen = (count: number, withinMs: number, ...watchers: Watcher[]): number =>
  story.until(`all see ${count}`, withinMs, () =>
    watchers.every(({ seen }) => seen.length >= count),
  );

const asked = (from: number): string[] =>
  story.cluster.trace.lines.slice(from).filter((line) => line.endsWith("AwaitCommits"));

test("every version once, in order, on every node, moments after it was acknowledged", () => {
  story = new Story();
  const leader = story.settledLeader();
  const watchers = story.cluster.nodes.map((node) => new Watcher(node));
  story.pass(100);
  for (let i = 0; i < 20; i++) {
    put(story.cluster.nodes[i % 3] ?? leader, `v${i}`);
    // The leader's word on its way, and a read of the store there and back.
    expect(untilSeen(i + 1, 20, ...watchers)).toBeLessThan(16);
  }
  const expected = Array.from({ length: 20 }, (_, i) => `v${i}`);
  for (const { values } of watchers) expect(values).toEqual(expected);
});

test("from now on, from the oldest, or from behind a version", () => {
  story = new Story();
  const leader = story.settledLeader();
  const ids = ["a", "b", "c"].map((value) => put(leader, value));
  const node = story.follower();
  const now = new Watcher(node);
  const oldest = new Watcher(node, "");
  const behind = new Watcher(node, ids[1]);
  story.pass(100);
  expect([now.values, oldest.values, behind.values]).toEqual([[], ["a", "b", "c"], ["c"]]);
  put(leader, "d");
  story.pass(100);
  expect([now.values, oldest.values, behind.values]).toEqual([
    ["d"],
    ["a", "b", "c", "d"],
    ["c", "d"],
  ]);
  const unknown = new Watcher(node, "no such");
  story.pass(100);
  expect(unknown.error?.code).toBe("invalid_argument");
  expect(unknown.error?.message).toContain("no such");
});

test("keys that nobody may watch, and ids that nobody may give", () => {
  story = new Story();
  story.settledLeader();
  const node = story.follower();
  for (const key of ["", "__hedge/semaphore/s", "__hedgerow/ca", "__caller=a:1"]) {
    const watcher = new Watcher(node, "", key);
    story.pass(50);
    expect(watcher.error?.code).toBe("invalid_argument");
  }
  const watcher = new Watcher(node, "i".repeat(129));
  story.pass(50);
  expect(watcher.error?.code).toBe("too_large");
});

test("a history longer than a page comes whole, in its order, while it grows", () => {
  story = new Story();
  const { core } = story.settledLeader();
  const expected = Array.from({ length: 150 }, (_, i) => `v${i}`);
  for (const value of expected.slice(0, 100)) void core.log.put("key", value);
  story.pass(2_000);
  const watcher = new Watcher(story.follower(), "");
  for (const value of expected.slice(100)) void core.log.put("key", value);
  untilSeen(150, 5_000, watcher);
  story.pass(500);
  expect(watcher.values).toEqual(expected);
});

test("across a leader that dies, and one that stops, nothing is missed or repeated", () => {
  story = new Story({ nodes: 4 });
  let leader = story.settledLeader();
  const bystander = story.follower(2);
  const watcher = new Watcher(bystander, "");
  const expected: string[] = [];
  const write = (count: number) => {
    for (let i = 0; i < count; i++) {
      const value = `v${expected.length}`;
      put(bystander, value);
      expected.push(value);
    }
  };
  write(3);
  story.cluster.crash(leader);
  write(3);
  leader = story.settledLeader(3 * LEASE_MS);
  write(3);
  if (leader !== bystander) story.cluster.stop(leader);
  write(3);
  untilSeen(expected.length, 1_000, watcher);
  expect(watcher.values).toEqual(expected);
});

test("a commit of a leader that dies before it told anybody is seen under the next", () => {
  story = new Story();
  const leader = story.settledLeader();
  const watcher = new Watcher(story.follower());
  story.pass(100);
  // Committed, while neither the caller nor the watcher's node hears another word of the leader.
  story.cluster.storeFaults.lostReply = 1;
  void leader.core.log.put("key", "last words").catch(() => {});
  story.pass(50);
  story.cluster.crash(leader);
  story.cluster.storeFaults.lostReply = 0;
  untilSeen(1, 3 * LEASE_MS, watcher);
  expect(watcher.values).toEqual(["last words"]);
});

test("a write whose outcome the leader never learns is seen all the same", () => {
  story = new Story();
  const leader = story.settledLeader();
  const watcher = new Watcher(story.follower());
  story.pass(100);
  story.cluster.storeFaults.lostReply = 1;
  const call = leader.core.log.put("key", "value", { timeoutMs: 10_000 });
  story.pass(50);
  story.cluster.storeFaults.lostReply = 0;
  story.cluster.storeFaults.appendError = "store_failed";
  expect(story.outcome(call).error?.code).toBe("outcome_unknown");
  untilSeen(1, 200, watcher);
});

test("a watcher's node that is cut off sees what it missed once it is back", () => {
  story = new Story();
  const leader = story.settledLeader();
  const cutOff = story.follower();
  const watcher = new Watcher(cutOff);
  story.pass(100);
  story.cluster.partition([cutOff], false);
  for (let i = 0; i < 5; i++) put(leader, `v${i}`);
  story.pass(3_000);
  story.cluster.network.healAll();
  untilSeen(5, 15_000, watcher);
  story.pass(1_000);
  expect(watcher.values).toEqual(["v0", "v1", "v2", "v3", "v4"]);
});

test("a store that is away is waited for, and nothing is missed", () => {
  story = new Story();
  const leader = story.settledLeader();
  const watcher = new Watcher(story.follower());
  story.pass(100);
  put(leader, "a");
  story.pass(100);
  story.cluster.storeFaults.down = true;
  story.pass(3 * LEASE_MS);
  story.cluster.storeFaults.down = false;
  story.settledLeader(3 * LEASE_MS);
  put(story.follower(), "b");
  untilSeen(2, 20_000, watcher);
  expect(watcher.values).toEqual(["a", "b"]);
});

test("a paused node goes on where it was", () => {
  story = new Story();
  const leader = story.settledLeader();
  const paused = story.follower();
  const watcher = new Watcher(paused);
  story.pass(100);
  story.cluster.pause(paused);
  for (let i = 0; i < 40; i++) put(leader, `v${i}`);
  story.pass(30_000);
  expect(watcher.seen).toEqual([]);
  story.cluster.resume(paused);
  untilSeen(40, 1_000, watcher);
  expect(watcher.values).toEqual(Array.from({ length: 40 }, (_, i) => `v${i}`));
});

test("a directWrite of another node is found within the sync interval, the own node's at once", () => {
  directWrites = true;
  story = new Story();
  story.settledLeader();
  const [writer, other] = [story.follower(0), story.follower(1)];
  const own = new Watcher(writer);
  const theirs = new Watcher(other);
  story.pass(100);
  put(writer, "direct", { directWrite: true });
  expect(untilSeen(1, 1_000, own)).toBeLessThan(20);
  untilSeen(1, 30_000, theirs);
  expect(theirs.values).toEqual(["direct"]);
});

test("a `-` row is seen each time that it is replaced, the last one surely", () => {
  story = new Story();
  const leader = story.settledLeader();
  const watcher = new Watcher(story.follower());
  story.pass(100);
  for (const value of ["a", "b", "c"]) put(leader, value, { noAppend: true });
  story.pass(100);
  expect(watcher.values.at(-1)).toBe("c");
  expect(["a", "b", "c"]).toEqual(expect.arrayContaining(watcher.values));
  expect(watcher.values).toEqual(watcher.values.toSorted());
});

test("a slow consumer holds back itself alone, and misses nothing", () => {
  story = new Story();
  const leader = story.settledLeader();
  const node = story.follower();
  const aSecond = () => new Promise<void>((go) => story.cluster.scheduler.after(1_000, go));
  const slow = new Watcher(node, "", "key", aSecond);
  const quick = new Watcher(node, "");
  const expected = Array.from({ length: 50 }, (_, i) => `v${i}`);
  for (const value of expected) put(leader, value);
  untilSeen(50, 100, quick);
  expect(slow.seen.length).toBeLessThan(5);
  untilSeen(50, 60_000, slow);
  expect([slow.values, quick.values]).toEqual([expected, expected]);
});

test("watchers of one key share the question and the reads; another key joins the question", () => {
  story = new Story({ keepLines: true });
  const leader = story.settledLeader();
  const node = story.follower();
  const watchers = Array.from({ length: 20 }, () => new Watcher(node));
  const other = new Watcher(node, "", "another key");
  story.pass(1_000);
  const { lines } = story.cluster.trace;
  const from = lines.length;
  for (let i = 0; i < 5; i++) {
    put(leader, `v${i}`);
    story.pass(100);
  }
  untilSeen(5, 100, ...watchers);
  expect(asked(from).length).toBe(5);
  // One read for all twenty: to the store, and its answer.
  expect(lines.slice(from).filter((line) => line.endsWith("store read on")).length).toBe(5);
  for (const watcher of [...watchers, other]) watcher.end();
  story.pass(100);
  expect([...watchers, other].every(({ done, error }) => done && error === null)).toBe(true);
});

test("what is quiet costs a question in ten seconds; where nobody watches, nothing", () => {
  story = new Story({ keepLines: true });
  story.settledLeader();
  const { lines } = story.cluster.trace;
  const watcher = new Watcher(story.follower());
  story.pass(1_000);
  let from = lines.length;
  story.pass(50_000);
  expect(asked(from).length).toBeLessThanOrEqual(6);
  watcher.end();
  story.pass(100);
  from = lines.length;
  story.pass(60_000);
  expect(asked(from)).toEqual([]);
  expect(lines.slice(from).filter((line) => line.includes("store read on"))).toEqual([]);
});

test("a leader asks itself, and nobody else", () => {
  story = new Story({ keepLines: true });
  const leader = story.settledLeader();
  const watcher = new Watcher(leader);
  story.pass(100);
  put(leader, "a");
  untilSeen(1, 20, watcher);
  expect(asked(0)).toEqual([]);
});

test("it ends with its signal, when it is left, and typed when the node stops", () => {
  story = new Story();
  const leader = story.settledLeader();
  const node = story.follower();
  const ended = new Watcher(node);
  const stopped = new Watcher(node);
  const left = node.core.log.watch("key");
  const waiting = left.next();
  story.pass(100);
  ended.end();
  expect(story.outcome(left.return?.() as Promise<unknown>).value).toMatchObject({ done: true });
  expect(story.outcome(waiting).value).toMatchObject({ done: true });
  story.pass(10);
  expect(ended).toMatchObject({ done: true, error: null });
  const tookMs = story.outcome(node.core.stop()).tookMs;
  expect(stopped.error?.code).toBe("stopped");
  expect(tookMs).toBeLessThan(500);
  // Those who ask a leader do not hold its stop up.
  new Watcher(story.follower());
  story.pass(100);
  expect(story.outcome(leader.core.stop()).tookMs).toBeLessThan(500);
});

test("a stop leaves no timer behind, also of one who does not ask for the next version", () => {
  story = new Story({ nodes: 1, keepLines: true });
  const leader = story.settledLeader();
  put(leader, "a");
  const never = new Watcher(leader, "", "key", () => new Promise(() => {}));
  untilSeen(1, 100, never);
  story.outcome(leader.core.stop());
  story.pass(1_000);
  const { events } = story.cluster.scheduler;
  story.pass(10 * 60_000);
  expect(story.cluster.scheduler.events).toBe(events);
});
