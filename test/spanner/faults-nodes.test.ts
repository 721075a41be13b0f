import { afterAll, beforeAll, expect, test } from "bun:test";
import { Hedgerow, type HedgerowError, type HedgerowNode } from "../../src/index.ts";
import { freePorts, until } from "../cli/process-kit.ts";
import { createDatabase } from "./database.ts";
import { type Emulator, startEmulator } from "./emulator.ts";
import { TcpProxy } from "./proxy.ts";
import { describeWithOwnEmulator } from "./rule.ts";
import { Sql } from "./sql.ts";
import { withHost } from "./with-host.ts";

const LEASE_MS = 4_000;
const NAME = { project: "hedgerow", instance: "faults", database: "nodes" };
const TEST_MS = 90_000;
/** What a call may take beyond its deadline, on a busy machine. */
const SLACK_MS = 4_000;

describeWithOwnEmulator("whole nodes on Spanner", () => {
  let emulator: Emulator;
  let sql: Sql;
  let proxy: TcpProxy;
  const nodes: HedgerowNode[] = [];
  /** Of all nodes, in their order. */
  const callbacks: boolean[] = [];
  const stack = new AsyncDisposableStack();

  /** Callbacks fail in both ways in which they can. */
  async function onLeaderChange(leads: boolean): Promise<void> {
    callbacks.push(leads);
    if (callbacks.length % 2 === 1) throw new Error("a callback's own failure");
    await new Promise(() => {});
  }

  beforeAll(async () => {
    emulator = stack.use(await startEmulator());
    const path = await createDatabase(emulator.host, NAME);
    sql = stack.use(new Sql(emulator.host, path));
    proxy = stack.use(await TcpProxy.before(emulator.host));
    const port = freePorts(2);
    for (const index of [0, 1]) {
      const options = {
        store: `spanner:${path}`,
        address: `127.0.0.1:${port + index}`,
        lease: LEASE_MS,
        onLeaderChange,
        onSend: (data: Uint8Array) => data,
      };
      nodes.push(stack.use(await withHost(proxy.host, () => Hedgerow.start(options))));
    }
    await until("both know one leader", settled);
  }, TEST_MS);
  afterAll(() => stack.disposeAsync(), TEST_MS);

  const settled = () =>
    nodes.some((node) => node.isLeader) && nodes.every((node) => node.leader === leader().address);
  const leader = () => nodes.find((node) => node.isLeader) as HedgerowNode;
  const follower = () => nodes.find((node) => !node.isLeader) as HedgerowNode;

  /** What a call at each node fails with, which it must by its deadline. */
  async function codes(
    call: (node: HedgerowNode) => Promise<unknown>,
    timeoutMs: number,
  ): Promise<string[]> {
    const started = performance.now();
    const outcomes = await Promise.allSettled(nodes.map(call));
    expect(performance.now() - started).toBeLessThan(timeoutMs + SLACK_MS);
    return outcomes.map((outcome) =>
      outcome.status === "rejected" ? (outcome.reason as HedgerowError).code : "answered",
    );
  }

  test(
    "L10: the leader's callback has thrown: it renews all the same",
    async () => {
      const [first, second] = [leader(), follower()];
      const { token } = first;
      const heartbeat = async () =>
        (
          await sql.query("SELECT heartbeat FROM locktable WHERE writer = @writer", {
            writer: first.address,
          })
        )[0]?.[0] ?? "";
      const seen = new Set<string>();
      await until("it has renewed four times", async () => seen.add(await heartbeat()).size > 4);
      expect(leader()).toBe(first);
      expect(leader().token).toBe(token);
      expect(callbacks).toEqual([true]);
      expect(second.isLeader).toBe(false);
    },
    TEST_MS,
  );

  test("C3: a send asks the database nothing, a put for no leader", async () => {
    const put = (n: number) => follower().put(`c3-${n}`, "value");
    await put(0);
    const rows = proxy.count("WHERE name = @name");
    const writes = proxy.count("c3-");
    const { connections } = proxy;
    for (let n = 1; n <= 10; n++) {
      await put(n);
      await follower().send("hello");
    }
    // A contender looks at the row once in a lease, whoever sends what.
    expect(rows.seen).toBeLessThanOrEqual(1);
    expect(writes.seen).toBe(10);
    expect(proxy.connections).toBe(connections);
  });

  test("C4: the reply to a put's commit is lost: it is acknowledged, and one row is there", async () => {
    const rows = () => sql.query("SELECT id FROM logtable WHERE key = 'c4'");
    const reply = proxy.loseReplyTo("the value of c4");
    const put = follower().put("c4", "the value of c4", { id: "once" });
    await reply.passed;
    await until("it is committed", async () => (await rows()).length > 0);
    reply.cut();
    expect((await put).id).toBe("once");
    expect(await rows()).toEqual([["once"]]);
  });

  test(
    "C1: the emulator stands still: put, get and send end by their deadlines, typed",
    async () => {
      await until("both know one leader", settled);
      emulator.pause();
      const answers = () => leader().get("c1", { timeoutMs: 200 });
      await until("it stands still", () =>
        answers().then(
          () => false,
          () => true,
        ),
      );
      const timeoutMs = 1_000;
      expect(await codes((node) => node.put("c1", "v", { timeoutMs }), timeoutMs)).toEqual([
        "timeout",
        "timeout",
      ]);
      await until("the lease is over", () => nodes.every((node) => !node.isLeader));
      expect(await codes((node) => node.put("c1", "v", { timeoutMs }), timeoutMs)).toEqual([
        "no_leader",
        "no_leader",
      ]);
      for (const code of await codes((node) => node.send("hello", { timeoutMs }), timeoutMs)) {
        expect(["no_leader", "not_leader"]).toContain(code);
      }
      for (const code of await codes((node) => node.get("c1", { timeoutMs }), timeoutMs)) {
        expect(["timeout", "unavailable"]).toContain(code);
      }
      emulator.resume();
      await until("both know one leader", settled);
      await follower().put("c1", "afterwards");
      expect((await leader().get("c1", { limit: 0 }))[0]?.value).toBe("afterwards");
      // Of the second leader, after one that threw and one that hangs (L10).
      expect(callbacks).toEqual([true, false, true]);
    },
    TEST_MS,
  );
});
