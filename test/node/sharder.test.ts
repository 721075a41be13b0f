import { afterEach, describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { MemberInfo, PeerStateName } from "../../src/node/api.ts";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import { MemberSharder } from "../../src/node/member-sharder.ts";
import type { HedgerowOptions } from "../../src/node/options.ts";
import { maglev, ring } from "../../src/shard/algorithms.ts";
import { until } from "../rpc/kit/wait.ts";

const started: Hedgerow[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.stop()));
});

async function start(options: HedgerowOptions = {}): Promise<Hedgerow> {
  const shared = { store: "none", tls: "none", address: "127.0.0.1:0" } as const;
  const node = await Hedgerow.start({ ...shared, ...options });
  started.push(node);
  return node;
}

const keys = Array.from({ length: 200 }, (_, i) => `key-${i}`);
const ownersAt = ({ sharder }: Hedgerow) => keys.map((key) => sharder.owner(key).name);

function member(address: string, state: PeerStateName, more: Partial<MemberInfo> = {}): MemberInfo {
  return { name: address, address, incarnation: 1, state, suspect: false, ...more };
}

function failure(work: () => unknown): HedgerowError {
  try {
    work();
  } catch (error) {
    if (error instanceof HedgerowError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

test("nodes that know the same members name the same owners, as ckit's ring does", async () => {
  const first = await start();
  const others = await Promise.all([1, 2].map(() => start({ join: [first.address] })));
  const nodes = [first, ...others];
  const participants = () =>
    first.members().filter(({ state }) => state === "participant").length === 3;
  await until("all take part", () => participants() && nodes.every((n) => n.sharder.size() === 3));
  const reference = ring();
  reference.update(first.members().map(({ name }) => ({ name, state: "participant" })));
  const expected = keys.map((key) => reference.owner(key).name);
  for (const node of nodes) expect(ownersAt(node)).toEqual(expected);
  const [owner, next] = first.sharder.lookup("key", 2);
  expect(owner).toMatchObject(first.members().find(({ name }) => name === owner?.name) as object);
  expect(next?.name).not.toBe(owner?.name);
});

test("observers find the sharder up to date with what they are told", async () => {
  const first = await start();
  const told: number[][] = [];
  first.sharder.size(); // made: from now on it follows
  first.observe((members) => {
    const owning = members.filter(({ state }) => state === "participant").length;
    told.push([owning, first.sharder.size(), first.sharder.size("read")]);
  });
  const second = await start({ join: [first.address] });
  await until("it takes part", () => told.at(-1)?.[0] === 2);
  await second.changeState("terminating");
  await until("it owns nothing but reads", () => told.at(-1)?.[1] === 1);
  expect(told.at(-1)).toEqual([1, 1, 2]);
  expect(told.every(([owning, size]) => owning === size)).toBe(true);
});

test("too few members are an error that says how many there are", async () => {
  const viewer = await start({ state: "viewer" });
  const alone = failure(() => viewer.sharder.owner("key"));
  expect(alone).toMatchObject({ code: "not_enough_nodes" });
  expect(alone.message).toBe("not enough nodes: need at least 1, have 0");
  await viewer.changeState("participant");
  expect(viewer.sharder.owner("key").address).toBe(viewer.address);
  expect(failure(() => viewer.sharder.lookup("key", 2)).message).toBe(
    "not enough nodes: need at least 2, have 1",
  );
  expect(failure(() => viewer.sharder.lookup("key", -1)).code).toBe("invalid_argument");
  await viewer.stop();
  expect(failure(() => viewer.sharder).code).toBe("stopped");
});

describe("the option", () => {
  test.each([
    "ring",
    "rendezvous",
    "multiprobe",
    "ringHash",
    "maglev",
    { algorithm: "ring", tokens: 16 },
    { algorithm: "ringHash", minRingSize: 16 },
    { algorithm: "maglev", tableSize: 251 },
  ] as const)("%p", async (sharder) => {
    const node = await start({ sharder });
    expect(node.sharder.owner("key").name).toBe(node.name);
  });

  test.each([
    [{ algorithm: "maglev", tableSize: 250 }, /tableSize 250: give a prime/],
    [{ algorithm: "ring", tokens: 0 }, /tokens 0: give a whole number/],
    [{ algorithm: "ring", tokenz: 1 }, /sharder: .*tokenz|sharder: give ring/],
    ["rings", /sharder: give ring, rendezvous/],
  ])("%p is refused at the start", async (sharder, message) => {
    const starting = start({ sharder } as unknown as HedgerowOptions);
    const error = await starting.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "invalid_argument" });
    expect(String(error)).toMatch(message);
  });
});

test("Envoy's algorithms hash addresses, as a gateway knows hosts, and no ghost of an address counts", () => {
  const members = [
    member("10.0.0.1:80", "participant", { name: "a" }),
    member("10.0.0.2:80", "participant", { name: "b" }),
    member("10.0.0.2:80", "participant", { name: "ghost", incarnation: 0 }),
    member("10.0.0.3:80", "terminating", { name: "c" }),
  ];
  const sharder = new MemberSharder({ algorithm: "maglev" });
  sharder.update(members);
  expect([sharder.size(), sharder.size("read")]).toEqual([2, 3]);
  const gateway = maglev();
  gateway.update(
    ["10.0.0.1:80", "10.0.0.2:80"].map((name) => ({ name, state: "participant" as const })),
  );
  for (const key of keys) expect(sharder.owner(key).address).toBe(gateway.owner(key).name);
  expect(keys.map((key) => sharder.owner(key).name)).not.toContain("ghost");
});
