import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { leaseTiming } from "../../src/lock/timing.ts";
import { goStatements } from "../simulation/world/go-contender.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import type { GoStatements } from "../simulation/world/go-statements.ts";
import { LEASE_MS, Story } from "./world.ts";

const { renewEveryMs, takeOverAgeMs } = leaseTiming(LEASE_MS);
/** A few calls to the database. */
const CALLS_MS = 50;
/** From the last heartbeat to the next leader at the latest: expiry, and one retry. */
const FAILOVER_MS = takeOverAgeMs + 500;
const GO = "10.0.1.1:8080";

let story: Story;
let go: GoStatements;
/** Our first leader, which died; its lease is over for the Go system, and not yet for ours. */
let dead: SimulatedNode;
let expired: number;

beforeEach(() => {
  story = new Story();
  go = goStatements(story.cluster, GO);
  dead = story.settledLeader();
  expired = newestToken();
  expect(go.insertRow()).toBeNull();
  story.cluster.crash(dead);
  story.pass(LEASE_MS + CALLS_MS);
  expect(go.check().diffMs).toBeGreaterThanOrEqual(LEASE_MS);
});

afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

describe("L14: the Go contender pauses after it checked the lock", () => {
  test("and goes by a token of ours: ours is fenced at once, notices, and leads again", () => {
    const ours = story.settledLeader(FAILOVER_MS);
    const taken = takeOver(go);
    expect(taken).toBeGreaterThan(newestToken());
    const put = ours.core.log.put("key", "value", { timeoutMs: 20_000 });
    story.until("the write is refused", CALLS_MS, () => !ours.core.isLeader);
    expectGone(taken);
    expect(story.outcome(put).error).toBeNull();
  });

  test("and dies once its marker of our token is inserted: ours leads on, and the next one overcomes it", () => {
    const ours = story.settledLeader(FAILOVER_MS);
    expect(go.insertMarker(go.readToken())).not.toBeNull();
    story.pass(5 * LEASE_MS);
    expectPutBy(ours);
    expect(story.observer.tokens.length).toBe(2);
    story.cluster.crash(ours);
    story.cluster.restart(dead);
    // It was seen to change last before the last heartbeat, and is watched for as long as that takes.
    story.settledLeader(2 * takeOverAgeMs + 500);
  });
});

describe("L14: the Go contender pauses after it read the token", () => {
  test("and comes after ours: its marker is there already, and nothing happens", () => {
    const judged = go.readToken();
    const ours = story.settledLeader(FAILOVER_MS);
    expect(go.insertMarker(judged)).toBeNull();
    story.pass(5 * LEASE_MS);
    expectPutBy(ours);
    expect(story.observer.tokens).toEqual([expired, newestToken()]);
  });

  test("and comes when ours have forgotten that token: ours notices, and leads again", () => {
    const judged = go.readToken();
    const first = story.settledLeader(FAILOVER_MS);
    story.pass(2 * LEASE_MS);
    story.cluster.restart(dead);
    story.cluster.stop(first);
    story.until("another leads", CALLS_MS, () => story.cluster.leaders().length > 0);
    const ours = story.settledLeader();
    const token = go.insertMarker(judged);
    if (token === null) throw new Error("the marker of the first token stands");
    go.update(token);
    expectNoticed(ours);
    expectGone(token);
  });
});

describe("L14: the Go contender pauses after it inserted its marker", () => {
  test("ours give it a lease and the grace, and lead; its update is noticed, though its token is older", () => {
    const judged = go.readToken();
    const token = go.insertMarker(judged);
    if (token === null) throw new Error("nobody took over yet");
    const markedAt = story.now;
    story.until("ours leads", 2 * takeOverAgeMs, () => story.cluster.leaders().length > 0);
    expect(story.now - markedAt).toBeGreaterThanOrEqual(takeOverAgeMs);
    const ours = story.settledLeader();
    expectPutBy(ours);
    go.update(token);
    expect(token).toBeLessThan(newestToken());
    expectNoticed(ours);
    expectGone(token);
  });

  test("and dies there: the marker is overcome", () => {
    go.insertMarker(go.readToken());
    const leader = story.settledLeader(2 * takeOverAgeMs + 500);
    expectPutBy(leader);
  });

  test("and a planned stop of ours, whose token it marked, costs a lease and the grace, not for ever", () => {
    const ours = story.settledLeader(FAILOVER_MS);
    go.insertMarker(go.readToken());
    story.cluster.stop(ours);
    const tookMs = story.until("another leads", takeOverAgeMs + 500, () =>
      story.cluster.leaders().some((node) => node !== ours),
    );
    expect(tookMs).toBeGreaterThanOrEqual(takeOverAgeMs);
  });
});

describe("L14: the Go contender pauses after it wrote the row", () => {
  test("ours lead once its lease is over, and its late heartbeats renew ours without harm", () => {
    const token = takeOver(go);
    story.pass(LEASE_MS);
    expect(story.cluster.leaders()).toEqual([]);
    const ours = story.settledLeader(FAILOVER_MS);
    go.heartbeat(true);
    expect(go.readToken()).not.toBe(token);
    story.pass(5 * LEASE_MS);
    expectPutBy(ours);
    story.cluster.stop(ours);
    story.until("another leads", CALLS_MS, () => story.cluster.leaders().length > 0);
  });

  test("while it renews, none of ours leads or writes; once it has died, one does", () => {
    const token = takeOver(go);
    for (let i = 0; i < 10; i++) {
      story.pass(LEASE_MS / 2);
      go.heartbeat(true);
      expect(story.cluster.leaders()).toEqual([]);
    }
    const put = story.follower().core.log.put("key", "value", { timeoutMs: 1_000 });
    expect(story.outcome(put).error).not.toBeNull();
    expectGone(token);
  });
});

test("L14: ours, paused beyond its lease, does not write under the token that Go has taken from it", () => {
  const ours = story.settledLeader(FAILOVER_MS);
  story.cluster.pause(ours);
  const put = ours.core.log.put("key", "value", { timeoutMs: 20_000 });
  story.pass(LEASE_MS);
  expect(go.check().diffMs).toBeGreaterThanOrEqual(LEASE_MS);
  const token = takeOver(go);
  story.cluster.resume(ours);
  story.pass(CALLS_MS);
  expect(ours.core.isLeader).toBe(false);
  expect(story.observer.holder).toBe(GO);
  story.settledLeader(FAILOVER_MS);
  expect(story.outcome(put).error).toBeNull();
  expect(newestToken()).toBeGreaterThan(token);
});

/** The rest of a take-over by a contender that has checked the lock; gives its token. */
function takeOver(contender: GoStatements): number {
  const token = contender.insertMarker(contender.readToken());
  if (token === null) throw new Error("somebody was faster");
  contender.update(token);
  expect(contender.readToken()).toBe(token);
  return token;
}

function newestToken(): number {
  const token = story.observer.tokens.at(-1);
  if (token === undefined) throw new Error("nobody of ours has led yet");
  return token;
}

function expectPutBy(leader: SimulatedNode): void {
  expect(story.cluster.leaders()).toEqual([leader]);
  expect(story.outcome(leader.core.log.put("key", "value")).error).toBeNull();
}

/** Go has just written the row: the leader of ours knows it by its next renewal, and takes nothing back. */
function expectNoticed(leader: SimulatedNode): void {
  expect(story.observer.holder).toBe(GO);
  expect(leader.core.isLeader).toBe(true);
  story.until("it notices", renewEveryMs + CALLS_MS, () => !leader.core.isLeader);
  expect(story.observer.holder).toBe(GO);
}

/** The Go contender has gone: one of ours leads within a fail-over, under a greater token, and writes. */
function expectGone(token: number): void {
  const leader = story.settledLeader(FAILOVER_MS);
  expectPutBy(leader);
  expect(newestToken()).toBeGreaterThan(token);
}
