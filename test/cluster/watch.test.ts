import { afterEach, beforeEach, expect, test } from "bun:test";
import { BINARY, Cluster, type Node, until } from "./processes.ts";
import { type ClusterStore, describeOnStores } from "./stores.ts";

/** One `hedgerow watch`, its lines collected as they come. */
class WatchCommand {
  stdout = "";
  stderr = "";
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #read: Promise<unknown>;

  constructor(node: Node, ...args: string[]) {
    this.#child = Bun.spawn([BINARY, "watch", ...args, "--json", "--server", node.url], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#read = Promise.all([this.#collect("stdout"), this.#collect("stderr")]);
  }

  get values(): string[] {
    const lines = this.stdout.split("\n").slice(0, -1);
    return lines.map((line) => (JSON.parse(line) as { value: string }).value);
  }

  interrupt(): void {
    this.#child.kill("SIGINT");
  }

  /** The exit code, once all output is there. */
  async ended(): Promise<number | null> {
    await Promise.all([this.#child.exited, this.#read]);
    return this.#child.exitCode;
  }

  async #collect(name: "stdout" | "stderr"): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child[name])
      this[name] += decoder.decode(chunk, { stream: true });
  }
}

interface Version {
  readonly id: string;
  readonly value: string;
}

async function latest(node: Node): Promise<Version> {
  const [version] = await node.entries("counter", 1);
  return { id: version?.id ?? "", value: version?.value ?? "0" };
}

/** Adds one to the counter: on top of the version that was read, or again on top of another. Gives the sum. */
async function increment(nodes: readonly Node[], id: string): Promise<number> {
  const deadline = performance.now() + 30_000;
  for (let attempt = 0; performance.now() < deadline; attempt++) {
    const node = nodes[attempt % nodes.length] as Node;
    const found = await latest(node).catch(() => null);
    if (found === null) continue;
    const value = `${Number(found.value) + 1}`;
    const put = { key: "counter", value, id: `${id}-${attempt}`, ifVersion: found.id };
    // Until there is an answer that tells what became of this very put.
    for (let i = 0; performance.now() < deadline; i++) {
      const answer = await (nodes[(attempt + i) % nodes.length] as Node).call("Put", put, 3_000);
      if (answer.ok) return Number(value);
      if (answer.code === "already_exists") break;
      await Bun.sleep(20);
    }
  }
  throw new Error(`${id}: no answer within 30 s`);
}

describeOnStores("hedgerow watch, and puts on conditions", (kind) => {
  let store: ClusterStore;
  let cluster: Cluster;
  let leader: Node;
  let followers: readonly Node[];
  beforeEach(async () => {
    store = await kind.make();
    cluster = await Cluster.start({ store });
    leader = await cluster.settled();
    followers = cluster.nodes.filter((node) => node !== leader);
  }, 30_000);
  afterEach(async () => {
    await cluster[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  /** Puts through the node, again with the same id until it is there. */
  const put = async (node: Node, value: string): Promise<void> => {
    await until(`${value} is written`, 20_000, async () => {
      return (await node.put("key", value, `id-${value}`, 3_000)).ok;
    });
  };

  test("every version once, in order, through a kill -9 of the leader and a stop of the next", async () => {
    const [first, second] = followers as [Node, Node];
    await put(first, "v0");
    const watches = cluster.nodes.map((node) => new WatchCommand(node, "key", "--from", "oldest"));
    const expected = ["v0"];
    const write = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const value = `v${expected.length}`;
        await put(cluster.living[i % cluster.living.length] as Node, value);
        expected.push(value);
      }
    };
    await write(10);
    await until("all three see them", 5_000, () =>
      watches.every(({ values }) => values.length === expected.length),
    );
    leader.signal("SIGKILL");
    await leader.exited();
    await write(10);
    const next = await cluster.settled();
    const last = next === first ? second : first;
    const stopped = performance.now();
    next.signal("SIGTERM");
    expect(await next.exited()).toBe(0);
    // Neither those who watch through it nor those who ask it hold its stop up past what calls may take.
    expect(performance.now() - stopped).toBeLessThan(3_500);
    await write(10);
    const left = watches[cluster.nodes.indexOf(last)] as WatchCommand;
    await until("the last one sees all", 10_000, () => left.values.length >= expected.length);
    left.interrupt();
    expect(await left.ended()).toBe(0);
    expect(left.values).toEqual(expected);
    for (const watch of watches) {
      if (watch === left) continue;
      expect(await watch.ended()).toBe(1);
      expect(watch.values).toEqual(expected.slice(0, watch.values.length));
      expect(watch.values.length).toBeGreaterThan(10);
    }
  }, 60_000);

  test("a counter that many increment at once, through a kill -9 of the leader, counts each once", async () => {
    const sums: number[] = [];
    const count = async (caller: number) => {
      const nodes = [...followers, leader].map((_, i, all) => all[(i + caller) % 3] as Node);
      for (let i = 0; i < 5; i++) sums.push(await increment(nodes, `${caller}-${i}`));
    };
    const counting = Promise.all([0, 1, 2, 3].map(count));
    await until("some are counted", 20_000, () => sums.length >= 5);
    leader.signal("SIGKILL");
    await counting;
    const all = Array.from({ length: 20 }, (_, i) => i + 1);
    expect(sums.toSorted((a, b) => a - b)).toEqual(all);
    const history = await (followers[0] as Node).entries("counter");
    expect(history.map(({ value }) => Number(value)).toReversed()).toEqual(all);
  }, 60_000);

  test("a lock's token as a condition: refused once somebody else has taken the lock", async () => {
    const [node] = followers as [Node];
    const { token } = (await leader.status()) ?? {};
    const claim = { name: "hedge/spindle/lockname/hedgerow", token };
    const fenced = { key: "key", value: "a", fence: claim };
    expect(await node.call("Put", fenced)).toMatchObject({ ok: true });
    leader.signal("SIGTERM");
    await leader.exited();
    await cluster.settled();
    expect(await node.call("Put", { ...fenced, value: "b" })).toMatchObject({
      ok: false,
      code: "aborted",
    });
    expect((await node.entries("key")).map(({ value }) => value)).toEqual(["a"]);
  }, 30_000);
});
