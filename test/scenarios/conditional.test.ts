import { afterEach, expect, test } from "bun:test";
import type { PutOptions } from "../../src/node/api.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { LEASE_MS, Story } from "./world.ts";

let story: Story;
afterEach(() => {
  expect(story.violations).toEqual([]);
  expect(story.observer.violations).toEqual([]);
});

const put = (node: SimulatedNode, value: string, options: PutOptions) =>
  story.outcome(node.core.log.put("key", value, options));
const history = (): string[] => {
  const { core } = story.cluster.nodes.find(({ machine }) => machine.alive) as SimulatedNode;
  const { value } = story.outcome(core.log.get("key", { limit: -1 }));
  return (value ?? []).map((entry) => entry.value).toReversed();
};
/** Somebody takes a lock that is not the leader's; gives its token. */
const takeTheirs = (expectedToken: number | null): number => {
  const { lock } = story.cluster.database.connect();
  const takeOver = { name: "theirs", writer: "app:1", leaseMs: 1_000, minAgeMs: 0, expectedToken };
  const { value } = story.outcome(lock.acquire(takeOver));
  if (value?.kind !== "acquired") throw new Error("refused");
  return value.token;
};

test("from any node: written on the version named, else a conflict that names the newest", () => {
  story = new Story();
  story.settledLeader();
  let version = "";
  for (const [i, node] of story.cluster.nodes.entries()) {
    const { value, error } = put(node, `v${i}`, { ifVersion: version });
    expect(error).toBeNull();
    version = value?.id ?? "";
  }
  for (const node of story.cluster.nodes) {
    for (const ifVersion of ["", "no such"]) {
      const { error } = put(node, "late", { ifVersion });
      expect(error).toMatchObject({ code: "conflict", current: version });
    }
  }
  expect(history()).toEqual(["v0", "v1", "v2"]);
});

test("of all nodes at once, on one version, one wins, and the others hear of it", () => {
  story = new Story({ nodes: 5 });
  story.settledLeader();
  const calls = story.cluster.nodes.map(({ core }, i) =>
    core.log.put("key", `v${i}`, { id: `id-${i}`, ifVersion: "" }),
  );
  const ends = calls.map((call) => story.outcome(call));
  const won = ends.flatMap(({ error }, i) => (error === null ? [i] : []));
  expect(won.length).toBe(1);
  expect(history()).toEqual([`v${won[0]}`]);
  for (const { error } of ends) {
    if (error !== null) expect(error).toMatchObject({ code: "conflict", current: `id-${won[0]}` });
  }
});

test("puts to one key keep the order in which they came, with conditions and without", () => {
  story = new Story();
  const { core } = story.settledLeader();
  const calls = [
    core.log.put("key", "a", { id: "1", ifVersion: "" }),
    core.log.put("key", "b", { id: "2", ifVersion: "1" }),
    core.log.put("key", "c", { id: "3" }),
    core.log.put("key", "d", { id: "4", ifVersion: "2" }),
    core.log.put("key", "e", { id: "5", ifVersion: "3" }),
  ];
  const codes = calls.map((call) => story.outcome(call).error?.code ?? "ok");
  expect(codes).toEqual(["ok", "ok", "ok", "conflict", "ok"]);
  expect(history()).toEqual(["a", "b", "c", "e"]);
});

test("C4: the reply is lost: the retry of a put on a condition that it met succeeds", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  const { network } = story.cluster;
  network.cut(leader.address, caller.address);
  const call = { id: "1", ifVersion: "", timeoutMs: 500 };
  expect(put(caller, "a", call).error?.code).toBe("timeout");
  // Another one has written on top of it meanwhile.
  expect(put(leader, "b", { ifVersion: "1" }).error).toBeNull();
  network.healAll();
  expect(put(caller, "a", call).value?.id).toBe("1");
  expect(put(caller, "other", call).error).toMatchObject({ code: "conflict", current: undefined });
  expect(history()).toEqual(["a", "b"]);
});

test("C4: the node itself asks again after a lost reply, and finds its own write", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  const { network, scheduler } = story.cluster;
  network.cut(leader.address, caller.address);
  scheduler.after(3_500, () => network.healAll());
  const { value, error } = put(caller, "a", { ifVersion: "" });
  expect(error).toBeNull();
  expect(value?.id).toMatch(/^[0-9A-Z]{26}$/);
  expect(history()).toEqual(["a"]);
});

test("C4: the store's reply is lost: the leader commits again, and finds its own write", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.lostReply = 1;
  const call = leader.core.log.put("key", "a", { ifVersion: "", timeoutMs: 8_000 });
  const other = leader.core.log.put("key", "b", { ifVersion: "", timeoutMs: 8_000 });
  // The commit is applied; of its reply nothing is heard until it counts as lost.
  story.pass(500);
  story.cluster.storeFaults.lostReply = 0;
  expect(story.outcome(call).error).toBeNull();
  expect(story.outcome(other).error?.code).toBe("conflict");
  expect(history()).toEqual(["a"]);
});

test("the leader dies with the put committed: its successor acknowledges it", () => {
  story = new Story();
  const leader = story.settledLeader();
  const caller = story.follower();
  story.cluster.network.cut(leader.address, caller.address);
  const call = caller.core.log.put("key", "a", { id: "1", ifVersion: "", timeoutMs: 20_000 });
  story.pass(300);
  story.cluster.crash(leader);
  story.cluster.network.healAll();
  expect(story.outcome(call).error).toBeNull();
  expect(history()).toEqual(["a"]);
  expect(put(caller, "b", { ifVersion: "1" }).error).toBeNull();
});

test("a `-` put whose condition fails after a lost reply of the store says that it does not know", () => {
  story = new Story();
  const leader = story.settledLeader();
  story.cluster.storeFaults.lostReply = 1;
  const call = leader.core.log.put("key", "a", { noAppend: true, ifVersion: "" });
  story.pass(500);
  story.cluster.storeFaults.lostReply = 0;
  expect(story.outcome(call).error?.code).toBe("outcome_unknown");
  expect(history()).toEqual(["a"]);
});

test("a foreign claim: written while the lock has the token, refused for good once it has another", () => {
  story = new Story();
  story.settledLeader();
  const former = takeTheirs(null);
  for (const [i, node] of story.cluster.nodes.entries()) {
    const fence = { name: "theirs", token: `${former}` };
    expect(put(node, `v${i}`, { fence }).error).toBeNull();
  }
  const current = takeTheirs(former);
  for (const node of story.cluster.nodes) {
    const late = put(node, "late", { fence: { name: "theirs", token: `${former}` } });
    expect(late.error?.code).toBe("fenced");
    expect(late.tookMs).toBeLessThan(100);
    expect(node.core.running).toBe(true);
  }
  const fence = { name: "theirs", token: `${current}` };
  expect(put(story.follower(), "new", { fence }).error).toBeNull();
  expect(history()).toEqual(["v0", "v1", "v2", "new"]);
  expect(story.observer.tokens.length).toBe(1);
});

test("the leader's own lock as a claim, named in full: refused after a change of leader", () => {
  story = new Story();
  const former = story.settledLeader();
  const fence = {
    name: "hedge/spindle/lockname/simulated",
    token: former.core.token as string,
  };
  expect(put(story.follower(), "a", { fence }).error).toBeNull();
  story.cluster.crash(former);
  const next = story.settledLeader(2 * LEASE_MS);
  expect(put(next, "b", { fence }).error?.code).toBe("fenced");
  const renewed = { ...fence, token: next.core.token as string };
  expect(put(next, "b", { fence: renewed }).error).toBeNull();
  expect(history()).toEqual(["a", "b"]);
});

test("a directWrite on conditions is one transaction as well", () => {
  story = new Story();
  story.settledLeader();
  const node = story.follower();
  const direct = (value: string, ifVersion: string, id: string) =>
    put(node, value, { directWrite: true, ifVersion, id });
  expect(direct("a", "", "1").error).toBeNull();
  expect(direct("b", "", "2").error).toMatchObject({ code: "conflict", current: "1" });
  expect(direct("b", "1", "2").error).toBeNull();
  expect(direct("a", "", "1").error).toBeNull();
  const fence = { name: "theirs", token: `${takeTheirs(null)}` };
  expect(put(node, "c", { directWrite: true, fence }).error).toBeNull();
  takeTheirs(Number(fence.token));
  expect(put(node, "d", { directWrite: true, fence }).error?.code).toBe("fenced");
  expect(history()).toEqual(["a", "b", "c"]);
  // To the checker, who writes without leading is a former leader.
  story.observer.violations.length = 0;
});

test("conditions that cannot be meant are refused before anything is asked", () => {
  story = new Story();
  story.settledLeader();
  const node = story.follower();
  for (const token of ["", "0", "-1", "1.5", "12345678901234567", "abc"]) {
    const { error } = put(node, "a", { fence: { name: "theirs", token } });
    expect(error?.code).toBe("invalid_argument");
  }
  expect(put(node, "a", { fence: { name: "", token: "1" } }).error?.code).toBe("invalid_argument");
  expect(put(node, "a", { ifVersion: "i".repeat(129) }).error?.code).toBe("too_large");
  expect(history()).toEqual([]);
});
