import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HedgerowError } from "../../src/errors.ts";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import type { HedgerowOptions } from "../../src/node/options.ts";
import { until } from "../rpc/kit/wait.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-no-store-"));
});
afterAll(() => rm(folder, { recursive: true }));

const started: Hedgerow[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((node) => node.stop()));
});

async function start(options: HedgerowOptions = {}): Promise<Hedgerow> {
  const node = await Hedgerow.start({
    store: "none",
    tls: "none",
    address: "127.0.0.1:0",
    onBroadcast: () => "heard",
    ...options,
  });
  started.push(node);
  return node;
}

const addresses = (node: Hedgerow) => node.members().map(({ address }) => address);

async function failure(work: Promise<unknown>): Promise<HedgerowError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof HedgerowError) return error;
  throw new Error(`no HedgerowError: ${String(error)}`);
}

test("nodes without a store are members of one cluster, and broadcast", async () => {
  const first = await start();
  await first.ready();
  const second = await start({ join: [first.address] });
  await second.ready();
  await until("both know both", () => addresses(first).length === 2);
  const replies = await second.broadcast("hello");
  expect(replies.map(({ node }) => node).sort()).toEqual(addresses(first));
  expect(replies.every((reply) => "data" in reply)).toBe(true);
  const seen: string[][] = [];
  first.observe((members) => seen.push(members.map(({ state }) => state)));
  await second.changeState("terminating");
  await until("the state is seen", () => seen.some((states) => states.includes("terminating")));
  await second.stop();
  await until("it is gone", () => addresses(first).length === 1);
  expect(await failure(second.join([first.address]))).toMatchObject({ code: "stopped" });
  const asked = (async () => second.findSpill("any"))();
  expect(await failure(asked)).toMatchObject({ code: "stopped" });
});

test("a node by a name that is taken does not start, and is told whose it is", async () => {
  const first = await start({ name: "pod-0" });
  const second = await start({ join: [first.address] });
  await until("both know both", () => addresses(first).length === 2);
  const error = await failure(start({ name: "pod-0", join: [second.address] }));
  expect(error.code).toBe("invalid_argument");
  expect(error.message).toContain(`the name pod-0 is taken by ${first.address}`);
  expect(addresses(second)).toEqual(addresses(first));
  expect(addresses(second).length).toBe(2);
});

test("whatever needs a leader says what it needs, at once", async () => {
  const node = await start();
  const calls = [
    node.put("key", "value"),
    node.put("key", "value", { directWrite: true }),
    node.get("key"),
    node.send("hello"),
    node.sendToLeader("hello", { retries: -1 }),
    (async () => node.lock("name").acquire())(),
    (async () => node.semaphore("name", 1).acquire())(),
    (async () => node.watch("key").next())(),
  ];
  for (const error of await Promise.all(calls.map(failure))) {
    expect(error.code).toBe("not_supported");
    expect(error.message).toEndWith(
      "start all nodes with one --store, such as sqlite:./hedgerow.db",
    );
  }
  const { leader, isLeader, token, leaseMs } = node.status();
  expect({ leader, isLeader, token, leaseMs }).toEqual({
    leader: null,
    isLeader: false,
    token: null,
    leaseMs: 0,
  });
  expect(await node.metrics()).toContain("hedgerow_build_info");
});

describe("joining", () => {
  test("a node whose seeds are silent is not ready, and joins once they answer", async () => {
    const [early] = await Promise.all([start()]);
    const { address } = early;
    await early.stop();
    const waiting = await start({ join: [address] });
    expect((await failure(waiting.ready())).message).toBe(
      `not joined yet: no answer from ${address}`,
    );
    // A lone owner of all keys would be wrong as soon as it meets the others.
    expect(waiting.state).toBe("viewer");
    expect(waiting.sharder.size()).toBe(0);
    await start({ address });
    await until("it has joined", () => addresses(waiting).length === 2, 15_000);
    await waiting.ready();
    expect(waiting.state).toBe("participant");
    await until("both own keys", () => waiting.sharder.size() === 2);
  }, 90_000);

  test("more addresses may be given later", async () => {
    const [a, b, c] = await Promise.all([start(), start(), start()]);
    await a.join([b.address, c.address]);
    await until("all know all", () => started.every((node) => addresses(node).length === 3));
  });

  test("nodes with a store and nodes without one are not mixed", async () => {
    const none = await start();
    const label = "locktable/hedgerow";
    const store = `sqlite:${join(folder, "mixed.db")}`;
    const mixed = start({ store, label, join: [none.address] });
    expect(await failure(mixed)).toMatchObject({
      code: "wrong_cluster",
      message: "nodes with a store and without one: start all nodes of a cluster with one --store",
    });
  });
});
