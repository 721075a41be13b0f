import { afterEach, expect, test } from "bun:test";
import { MAX_MESSAGE_BYTES } from "../../src/store/limits.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { LEASE_MS, Story } from "./world.ts";

let story: Story;
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

test("C1: without a leader every call to it ends with a typed error by its deadline", () => {
  story = new Story();
  story.cluster.storeFaults.down = true;
  story.pass(1_000);
  const { log, messaging } = story.follower().core;
  const put = story.outcome(log.put("key", "value", { timeoutMs: 1_500 }));
  expect(put.error?.code).toBe("no_leader");
  expect(put.tookMs).toBeCloseTo(1_500, 0);
  const send = story.outcome(messaging.send("hello", { timeoutMs: 1_500 }));
  expect(send.error?.code).toBe("no_leader");
  const retried = story.outcome(messaging.sendToLeader("hello", { timeoutMs: 1_500 }));
  expect(retried.error?.code).toBe("no_leader");
  expect(retried.tookMs).toBeLessThanOrEqual(1_501);
});

test("C1: a put that waits for a leader is done as soon as there is one", () => {
  story = new Story();
  story.cluster.crash(story.settledLeader());
  const put = story.outcome(story.follower().core.log.put("key", "value"));
  expect(put.error).toBeNull();
  expect(put.tookMs).toBeLessThan(1.5 * LEASE_MS);
});

test("C2: a hung member freezes nothing: broadcast names it, the others answer, membership goes on", () => {
  story = new Story({ nodes: 4 });
  const leader = story.settledLeader();
  const hung = story.follower(0);
  const caller = story.follower(1);
  story.cluster.pause(hung);
  const replies = story.outcome(collect(caller, 800));
  expect(replies.tookMs).toBeLessThanOrEqual(801);
  const byNode = new Map(replies.value?.map((reply) => [reply.node, reply]));
  expect(byNode.size).toBe(4);
  expect(byNode.get(hung.address)).toMatchObject({ error: { code: "timeout" } });
  expect(byNode.get(leader.address)).toHaveProperty("data");
  expect(story.outcome(caller.core.messaging.send("hello")).tookMs).toBeLessThan(20);
  story.until("the others drop it", 5_000, () =>
    [leader, caller].every(({ core }) => core.members().every((m) => m.address !== hung.address)),
  );
});

test("C2: cancellation ends a call at once", () => {
  story = new Story();
  story.settledLeader();
  story.cluster.network.faults.minDelayMs = story.cluster.network.faults.maxDelayMs = 500;
  const { log, messaging } = story.follower().core;
  for (const call of [
    (signal: AbortSignal) => log.put("key", "value", { signal }),
    (signal: AbortSignal) => messaging.send("hello", { signal }),
    (signal: AbortSignal) => messaging.sendToLeader("hello", { signal }),
  ]) {
    const controller = new AbortController();
    story.cluster.scheduler.after(100, () => controller.abort());
    const { error, tookMs } = story.outcome<unknown>(call(controller.signal));
    expect(error?.code).toBe("canceled");
    expect(tookMs).toBeLessThan(101);
  }
});

test("C3: a send or put in steady state reads no database to find the leader", () => {
  story = new Story({ keepLines: true });
  story.settledLeader();
  const follower = story.follower();
  const before = story.cluster.trace.lines.length;
  for (let i = 0; i < 20; i++) {
    expect(story.outcome(follower.core.log.put(`key-${i}`, "value")).error).toBeNull();
    expect(story.outcome(follower.core.messaging.send("hello")).error).toBeNull();
  }
  const lines = story.cluster.trace.lines.slice(before);
  expect(lines.filter((line) => line.includes("store append answer")).length).toBe(20);
  expect(lines.filter((line) => line.includes("store read"))).toEqual([]);
});

test("C4: the reply to a put is lost: the retry writes nothing twice", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  // The leader's answers to the caller vanish, until it has been asked a second time.
  const { network, scheduler } = story.cluster;
  network.cut(leader.address, caller.address);
  scheduler.after(700, () => network.healAll());
  const first = story.outcome(caller.core.log.put("key", "value", { id: "once", timeoutMs: 500 }));
  expect(first.error?.code).toBe("timeout");
  const second = story.outcome(caller.core.log.put("key", "value", { id: "once" }));
  expect(second.error).toBeNull();
  const entries = story.outcome(caller.core.log.get("key", { limit: -1 })).value;
  expect(entries?.map(({ id, timestamp }) => ({ id, timestamp }))).toEqual([
    { id: "once", timestamp: second.value?.timestamp ?? 0 },
  ]);
  const other = story.outcome(caller.core.log.put("key", "another", { id: "once" }));
  expect(other.error?.code).toBe("conflict");
});

test("C4: a noAppend put of unknown outcome is not retried by itself", () => {
  story = new Story({ keepLines: true });
  const leader = story.settledLeader();
  const caller = story.follower();
  story.cluster.network.cut(leader.address, caller.address);
  const put = caller.core.log.put("key", "value", { noAppend: true, timeoutMs: 3_000 });
  expect(story.outcome(put).error?.code).toBe("timeout");
  const asked = story.cluster.trace.lines.filter((line) => line.endsWith("PeerService/Append"));
  expect(asked.length).toBe(1);
});

test("C4: after a vague attempt, one that surely did nothing does not make it sure", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  // The first attempt is committed and its reply lost; then the leader's store refuses for good.
  story.cluster.network.cut(leader.address, caller.address);
  const put = caller.core.log.put("key", "value", { timeoutMs: 9_000 });
  story.pass(500);
  story.cluster.storeFaults.appendError = "store_failed";
  story.pass(500);
  story.cluster.network.healAll();
  const { error } = story.outcome(put);
  expect(error?.code).toBe("outcome_unknown");
  expect(error?.cause).toMatchObject({ code: "store_failed" });
});

test("C5: a put of a former leader fails at the database, inside the write's own transaction", () => {
  story = new Story();
  const former = story.settledLeader();
  // Its write is under way to the database when the lease is taken from it by hand.
  story.cluster.storeFaults.minDelayMs = story.cluster.storeFaults.maxDelayMs = 50;
  const put = former.core.log.put("key", "late", { timeoutMs: 1_000 });
  story.pass(10);
  expect(former.core.isLeader).toBe(true);
  void story.cluster.database.connect().lock.acquire({
    name: "hedge/spindle/lockname/simulated",
    writer: "10.9.9.9:8080",
    expectedToken: Number(former.core.token),
    leaseMs: 2_000,
    minAgeMs: 0,
  });
  story.until("it hears that from the database", 200, () => !former.core.isLeader);
  expect(story.outcome(put).value).toBeNull();
  expect(story.outcome(former.core.log.get("key")).value).toEqual([]);
});

test("C7: a handler that throws, hangs or answers 100 MB is an error for that caller only", () => {
  const huge = new Uint8Array(100 * 1024 * 1024);
  story = new Story({
    configure: () => ({
      onSend: (data) => {
        const asked = new TextDecoder().decode(data);
        if (asked === "throw") throw new Error("handler says no");
        if (asked === "hang") return new Promise(() => {});
        return asked === "huge" ? huge : data;
      },
    }),
  });
  story.settledLeader();
  const { messaging } = story.follower().core;
  const send = (message: string) => story.outcome(messaging.send(message, { timeoutMs: 500 }));
  const thrown = send("throw").error;
  expect(thrown?.code).toBe("handler_failed");
  expect(thrown?.message).toBe("handler says no");
  expect(send("hang").error?.code).toBe("timeout");
  expect(send("huge").error?.code).toBe("too_large");
  expect(send("fine").value).toEqual(new TextEncoder().encode("fine"));
  const own = messaging.send(new Uint8Array(MAX_MESSAGE_BYTES + 1));
  expect(story.outcome(own).error?.code).toBe("too_large");
});

test("a handler's own failure is never retried, whatever it is", () => {
  let calls = 0;
  story = new Story({
    configure: () => ({
      onSend: () => {
        calls++;
        throw new Error("no");
      },
    }),
  });
  story.settledLeader();
  const sent = story.outcome(story.follower().core.messaging.sendToLeader("hello"));
  expect(sent.error?.code).toBe("handler_failed");
  expect(calls).toBe(1);
});

test("no handler: membership stays on, broadcast and send say so", () => {
  story = new Story({ configure: () => ({ onSend: undefined, onBroadcast: undefined }) });
  story.settledLeader();
  const caller = story.follower();
  expect(story.outcome(caller.core.messaging.send("hello")).error?.code).toBe("no_handler");
  const replies = story.outcome(collect(caller, 1_000)).value ?? [];
  expect(replies.length).toBe(3);
  for (const reply of replies) expect(reply).toMatchObject({ error: { code: "no_handler" } });
});

test("broadcast: skipSelf, onlySendTo, unknown addresses", () => {
  story = new Story();
  story.settledLeader();
  const caller = story.follower();
  const all = story.cluster.nodes.map(({ address }) => address).sort();
  const nodes = (options: object) =>
    story
      .outcome(collect(caller, 1_000, options))
      .value?.map(({ node }) => node)
      .sort();
  expect(nodes({})).toEqual(all);
  expect(nodes({ skipSelf: true })).toEqual(all.filter((address) => address !== caller.address));
  const [first = ""] = all;
  expect(nodes({ onlySendTo: [first, "10.9.9.9:1"] })).toEqual([first]);
});

test("C10: a stop while calls are under way: each ends, typed", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  const calls = Array.from({ length: 50 }, (_, i) =>
    caller.core.log.put(`key-${i}`, "value", { timeoutMs: 3_000 }),
  );
  story.cluster.stop(leader);
  for (const call of calls) expect(story.outcome(call).error).toBeNull();
  void caller.core.stop();
  const late = story.outcome(caller.core.log.put("late", "value", { timeoutMs: 3_000 }));
  expect(late.error === null || late.error.code === "stopped").toBe(true);
});

test("C10: the own node stops: a put that was sent may be there, one that was not is stopped", () => {
  for (const options of [{}, { noAppend: true }, { directWrite: true }]) {
    story = new Story();
    const leader = story.settledLeader();
    Object.assign(story.cluster.storeFaults, { minDelayMs: 1_900, maxDelayMs: 1_901 });
    const sent = leader.core.log.put("key", "sent", options);
    story.pass(5);
    const waits = leader.core.log.put("key", "waits"); // for its turn after the other, unless that went past the leader
    story.pass(1);
    void leader.core.stop();
    expect(story.outcome(sent).error?.code).toBe("outcome_unknown");
    expect(story.outcome(waits).error?.code).toBe(
      "directWrite" in options ? "outcome_unknown" : "stopped",
    );
  }
});

test("C10: the own node stops before the leader has answered: the put may be there", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  story.cluster.network.cut(leader.address, caller.address);
  const sent = caller.core.log.put("key", "sent");
  story.pass(50);
  void caller.core.stop();
  expect(story.outcome(sent).error?.code).toBe("outcome_unknown");
  expect(story.outcome(leader.core.log.get("key")).value?.length).toBe(1);
});

function collect(node: SimulatedNode, timeoutMs: number, options = {}) {
  return Array.fromAsync(node.core.messaging.broadcast("hello", { timeoutMs, ...options }));
}
