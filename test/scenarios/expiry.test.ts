import { afterEach, expect, test } from "bun:test";
import type { Retention } from "../../src/log/expiry.ts";
import type { LogStore } from "../../src/store/ports.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Watcher } from "./watcher.ts";
import { LEASE_MS, Story } from "./world.ts";

const MINUTE_MS = 60_000;
/** A round may be so much later than what it looks at is due. */
const ROUND_MS = 11_000;

let story: Story;
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

function start(retention: Partial<Retention> | null, keepLines = false): SimulatedNode {
  const kept = retention && { keepVersions: 1, keepAgeMs: null, ...retention };
  story = new Story({ keepLines, configure: () => ({ retention: kept }) });
  return story.settledLeader();
}

/** The database, past all nodes. */
const database = (): LogStore => story.cluster.database.connect().log as LogStore;

/** Writes as somebody else does who shares the database. */
function write(key: string, ...ids: string[]): void {
  for (const id of ids) {
    const written = database().append([{ key, id, value: id, leader: "other:1" }], null);
    expect(story.outcome(written).error).toBeNull();
  }
}

const put = (node: SimulatedNode, id: string, key = "key") =>
  story.outcome(node.core.log.put(key, id, { id }));

const ids = (key = "key"): string[] =>
  (story.outcome(database().read(key, -1)).value ?? []).map(({ id }) => id);

const asked = (what: string): number =>
  story.cluster.trace.lines.filter((line) => line.endsWith(`store ${what}`)).length;

test("off by default: nothing is removed, and nothing is asked", () => {
  const leader = start(null, true);
  for (const id of ["a", "b", "c"]) put(leader, id);
  story.pass(5 * MINUTE_MS);
  expect(ids()).toEqual(["c", "b", "a"]);
  expect([asked("keys"), asked("trim")]).toEqual([0, 0]);
});

test("the newest n stay, and nothing goes within a minute", () => {
  const leader = start({ keepVersions: 2 });
  for (const id of ["a", "b", "c", "d"]) put(leader, id);
  put(leader, "only", "other");
  story.pass(MINUTE_MS - 1_000);
  expect(ids()).toEqual(["d", "c", "b", "a"]);
  // Looked at after a minute, and once more for what came after the first of them.
  story.pass(MINUTE_MS + 2 * ROUND_MS);
  expect(ids()).toEqual(["d", "c"]);
  expect(ids("other")).toEqual(["only"]);
  // What is written on top of them later makes them go later.
  put(leader, "e");
  story.pass(MINUTE_MS - 1_000);
  expect(ids()).toEqual(["e", "d", "c"]);
  story.pass(ROUND_MS + 1_000);
  expect(ids()).toEqual(["e", "d"]);
});

test("what an earlier leader or somebody else wrote is found by the sweep", () => {
  const leader = start({ keepVersions: 1 });
  write("key", "a", "b", "c");
  for (let i = 0; i < 200; i++) write(`key-${String(i).padStart(3, "0")}`, "a", "b");
  story.cluster.crash(leader);
  story.settledLeader(3 * LEASE_MS);
  story.pass(MINUTE_MS + 2 * ROUND_MS);
  expect(ids()).toEqual(["c"]);
  for (const i of ["000", "063", "064", "127", "199"]) expect(ids(`key-${i}`)).toEqual(["b"]);
});

test("Hedgerow's own rows and the `-` row stay", () => {
  start({ keepVersions: 1 });
  for (const key of ["__hedge/semaphore/s", "__hedgerow/ca", "__caller=a:1"]) write(key, "a", "b");
  write("key", "-", "a", "b");
  story.cluster.crash(story.cluster.leaders()[0] as SimulatedNode);
  story.settledLeader(3 * LEASE_MS);
  story.pass(2 * MINUTE_MS);
  for (const key of ["__hedge/semaphore/s", "__hedgerow/ca", "__caller=a:1"]) {
    expect(ids(key)).toEqual(["b", "a"]);
  }
  expect(ids()).toEqual(["b", "-"]);
});

test("those younger than an age stay, and the newest however old", () => {
  const leader = start({ keepAgeMs: 10 * MINUTE_MS });
  for (const id of ["a", "b"]) put(leader, id);
  put(leader, "only", "other");
  story.pass(5 * MINUTE_MS);
  put(leader, "c");
  put(leader, "d");
  story.pass(4 * MINUTE_MS);
  expect(ids()).toEqual(["d", "c", "b", "a"]);
  // A sweep comes each quarter of the age, and what it finds is removed a minute later.
  story.pass(5 * MINUTE_MS);
  expect(ids()).toEqual(["d", "c"]);
  story.pass(60 * MINUTE_MS);
  expect(ids()).toEqual(["d"]);
  expect(ids("other")).toEqual(["only"]);
});

test("with both, a version goes only when neither keeps it", () => {
  const leader = start({ keepVersions: 3, keepAgeMs: 10 * MINUTE_MS });
  for (const id of ["a", "b", "c", "d", "e"]) put(leader, id);
  story.pass(8 * MINUTE_MS);
  expect(ids()).toEqual(["e", "d", "c", "b", "a"]);
  story.pass(6 * MINUTE_MS);
  expect(ids()).toEqual(["e", "d", "c"]);
  story.pass(60 * MINUTE_MS);
  expect(ids()).toEqual(["e", "d", "c"]);
});

test("a round removes a bounded number, and rounds follow each other until all are gone", () => {
  const leader = start({ keepVersions: 1 }, true);
  const all = Array.from({ length: 1_000 }, (_, i) => `${i}`.padStart(4, "0"));
  write("key", ...all);
  put(leader, "last");
  const least = new Set<number>();
  story.pass(MINUTE_MS - 1_000);
  for (let i = 0; i < 2_000 && ids().length > 1; i++) {
    story.pass(10);
    least.add(ids().length);
  }
  expect([...least]).toEqual([1_001, 751, 501, 251, 1]);
  expect(asked("trim")).toBe(4);
});

test("a former leader removes nothing: the removal's own transaction sees to it", () => {
  const run = () => {
    const leader = start({ keepVersions: 1 }, true);
    write("key", "a", "b");
    put(leader, "c");
    story.cluster.storeFaults.minDelayMs = story.cluster.storeFaults.maxDelayMs = 100;
    return leader;
  };
  const trims = () => story.cluster.trace.lines.filter((line) => line.endsWith("store trim"));
  run();
  story.until("it is removed", 2 * MINUTE_MS, () => trims().length > 0);
  const removedAt = story.now;
  expect(ids()).toEqual(["c"]);
  // The same once more; but while the removal is on its way, somebody takes the lease by hand.
  const former = run();
  story.cluster.scheduler.runUntil(removedAt - 50);
  void story.cluster.database.connect().lock.acquire({
    name: "hedge/spindle/lockname/simulated",
    writer: "10.9.9.9:8080",
    expectedToken: Number(former.core.token),
    leaseMs: 60_000,
    minAgeMs: 0,
  });
  expect([former.core.isLeader, trims()]).toEqual([true, []]);
  story.until("the removal reaches the store", 200, () => trims().length > 0);
  story.until("it hears that from the store", 400, () => !former.core.isLeader);
  expect(ids()).toEqual(["c", "b", "a"]);
});

test("the store is away for a while: the removal goes on afterwards", () => {
  const leader = start({ keepVersions: 1 });
  for (const id of ["a", "b", "c"]) put(leader, id);
  story.cluster.storeFaults.refusal = 0.5;
  story.pass(2 * MINUTE_MS);
  story.cluster.storeFaults.refusal = 0;
  story.settledLeader(3 * LEASE_MS);
  story.pass(2 * MINUTE_MS);
  expect(ids()).toEqual(["c"]);
});

test("C4: a put that is repeated within the minute is acknowledged, whatever came on top of it", () => {
  const leader = start({ keepVersions: 1 });
  const first = put(leader, "a").value;
  for (const id of ["b", "c"]) put(leader, id);
  story.pass(50_000);
  expect(put(leader, "a").value).toEqual(first);
  expect(ids()).toEqual(["c", "b", "a"]);
});

test("who watches all the time misses nothing, however little is kept", () => {
  const leader = start({ keepVersions: 1 });
  const watcher = new Watcher(story.follower());
  story.pass(100);
  const expected: string[] = [];
  for (let i = 0; i < 40; i++) {
    put(leader, `v${i}`);
    expected.push(`v${i}`);
    story.pass(i % 7 === 0 ? 90_000 : 5_000);
  }
  expect(watcher.values).toEqual(expected);
  expect(ids().length).toBeLessThan(15);
});

test("a slow consumer that may have missed versions is told so; one that has not goes on", () => {
  const leader = start({ keepVersions: 2 });
  let waitMs = 0;
  const slowly = () => new Promise<void>((go) => story.cluster.scheduler.after(waitMs, go));
  const slow = new Watcher(story.follower(), "", "key", slowly);
  put(leader, "a");
  story.pass(1_000);
  waitMs = 3 * MINUTE_MS;
  put(leader, "b");
  story.pass(1_000);
  put(leader, "c");
  // Away for minutes, but all that it has not seen is kept still, and so is what it saw last.
  story.pass(3 * MINUTE_MS);
  expect(slow.values).toEqual(["a", "b", "c"]);
  for (const id of ["d", "e", "f", "g"]) put(leader, id);
  story.pass(4 * MINUTE_MS);
  expect(slow.values).toEqual(["a", "b", "c"]);
  expect(slow.error?.code).toBe("expired");
  expect(slow.error?.message).toContain('"c"');
});

test("a watcher that had seen none, or the `-` row alone, is told of what it may have missed", () => {
  for (const noAppend of [false, true]) {
    const leader = start({ keepVersions: 1 });
    const node = story.follower();
    const watcher = new Watcher(node);
    story.pass(1_000);
    if (noAppend) story.outcome(leader.core.log.put("key", "-", { noAppend }));
    story.pass(1_000);
    story.cluster.storeFaults.cutOff = new Set([node.address]);
    for (const id of ["a", "b", "c"]) put(leader, id);
    story.pass(3 * MINUTE_MS);
    expect(ids()).toEqual(noAppend ? ["c", "-"] : ["c"]);
    story.cluster.storeFaults.cutOff = new Set();
    story.pass(MINUTE_MS);
    expect(watcher.error?.code).toBe("expired");
  }
});

test("where nothing is removed, one that had seen none goes on after an outage", () => {
  const leader = start(null);
  const node = story.follower();
  const watcher = new Watcher(node);
  story.pass(1_000);
  story.cluster.storeFaults.cutOff = new Set([node.address]);
  for (const id of ["a", "b"]) put(leader, id);
  story.pass(3 * MINUTE_MS);
  story.cluster.storeFaults.cutOff = new Set();
  story.pass(MINUTE_MS);
  expect(watcher.values).toEqual(["a", "b"]);
});

test("the leader's wall clock jumps an hour, there or back: what is younger than the age stays", () => {
  for (const jumpMs of [60 * MINUTE_MS, -60 * MINUTE_MS]) {
    const leader = start({ keepAgeMs: 10 * MINUTE_MS });
    for (const id of ["a", "b", "c"]) put(leader, id);
    story.cluster.jump(leader.machine, jumpMs);
    story.pass(9 * MINUTE_MS);
    expect(ids()).toEqual(["c", "b", "a"]);
    expect(story.cluster.leaders()).toEqual([leader]);
    story.cluster.jump(leader.machine, -jumpMs);
    story.pass(6 * MINUTE_MS);
    expect(ids()).toEqual(["c"]);
  }
});

test("a watch from a version that was removed says that it is gone", () => {
  const leader = start({ keepVersions: 1 });
  for (const id of ["a", "b", "c"]) put(leader, id);
  story.pass(3 * MINUTE_MS);
  const watcher = new Watcher(story.follower(), "a");
  story.pass(100);
  expect(watcher.error?.code).toBe("invalid_argument");
  expect(watcher.error?.message).toContain("or no longer");
  const oldest = new Watcher(story.follower(), "");
  story.pass(100);
  expect(oldest.values).toEqual(["c"]);
});
