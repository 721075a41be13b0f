import { expect, test } from "bun:test";
import { join } from "node:path";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import { RealNode } from "../fuzz/kit/real-node.ts";
import { type Exposed, parseExposition, sampleOf } from "../observe/exposition.ts";
import { appKit } from "./app-kit.ts";

const SECRET = "only-the-store-knows-this";

/** What a node exposes of itself and of its process. */
async function page({ ask }: Pick<RealNode, "ask">): Promise<string> {
  const response = await ask(new Request("http://127.0.0.1/metrics"));
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return response.text();
}

/** As docs/METRICS.md has it: name, type, labels, meaning. */
function rowOf([name, { type, labels, help }]: [string, Exposed]): string[] {
  const quoted = [...labels].map((label) => `\`${label}\``);
  return [`\`${name}\``, type, quoted.join(", "), help];
}

async function documented(): Promise<string[][]> {
  const text = await Bun.file(join(import.meta.dir, "../../docs/METRICS.md")).text();
  const table = /<!-- metrics -->(.*)<!-- end of metrics -->/s.exec(text)?.[1] ?? "";
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) =>
    row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test("docs/METRICS.md has the metrics that a node exposes, and no others", async () => {
  await using real = await RealNode.start();
  const exposed = [...parseExposition(await page(real))].map(rowOf);
  expect(await documented()).toEqual(exposed);
});

test("calls are counted by their outcomes; keys, values and names of users never appear", async () => {
  await using real = await RealNode.start();
  const { node } = real;
  await node.put(SECRET, SECRET);
  await node.get(SECRET);
  await node.put("", SECRET).catch(() => {});
  await node.send(SECRET);
  await node.sendToLeader(SECRET);
  await node.broadcast(SECRET);
  const lock = await node.lock(SECRET).acquire();
  await using permit = await node.semaphore(SECRET, 2).acquire({ owner: SECRET });
  await node
    .semaphore(SECRET, 2)
    .tryAcquire({ owner: SECRET })
    .catch(() => {});
  const text = await page(real);
  expect(text).not.toContain(SECRET);
  const metrics = parseExposition(text);
  const calls = (call: string, code: string) =>
    sampleOf(metrics, "hedgerow_calls_total", `{call="${call}",code="${code}"}`);
  expect(calls("put", "ok")).toBe(1);
  expect(calls("put", "invalid_argument")).toBe(1);
  expect(calls("get", "ok")).toBe(1);
  expect(calls("send", "ok")).toBe(2);
  expect(calls("broadcast", "ok")).toBe(1);
  expect(calls("lock", "ok")).toBe(1);
  expect(calls("semaphore", "ok")).toBe(1);
  expect(calls("semaphore", "already_held")).toBe(1);
  expect(sampleOf(metrics, "hedgerow_call_duration_seconds", '_count{call="put"}')).toBe(2);
  expect(sampleOf(metrics, "hedgerow_call_duration_seconds", '_sum{call="put"}')).toBeGreaterThan(
    0,
  );
  const held = (kind: string) => sampleOf(metrics, "hedgerow_claims_held", `{kind="${kind}"}`);
  expect([held("lock"), held("permit")]).toEqual([1, 1]);
  expect(permit.owner).toBe(SECRET);
  const store = (call: string) =>
    sampleOf(metrics, "hedgerow_store_calls_total", `{call="${call}",code="ok"}`);
  expect(store("log_append")).toBe(2); // the put, and before it the authority of the node's certificate
  expect(store("lock_acquire")).toBe(2); // the leader's and the user's
  expect(store("semaphore_change")).toBe(1);
  const watching = node.watch("watched");
  const next = watching.next();
  await using spilled = node.spill("spilled");
  await spilled.writer().append(SECRET);
  const during = parseExposition(await page(real));
  expect(sampleOf(during, "hedgerow_watches")).toBe(1);
  expect(sampleOf(during, "hedgerow_spill_stores")).toBe(1);
  expect(sampleOf(during, "hedgerow_spill_used_bytes", '{medium="memory"}')).toBeGreaterThan(0);
  await watching.return?.();
  await next;
  await lock.release();
  const after = parseExposition(await page(real));
  expect(sampleOf(after, "hedgerow_claims_held", '{kind="lock"}')).toBe(0);
  expect(sampleOf(after, "hedgerow_watches")).toBe(0);
});

test("the leader says so, and for how long", async () => {
  await using real = await RealNode.start();
  const metrics = parseExposition(await page(real));
  expect(sampleOf(metrics, "hedgerow_is_leader")).toBe(1);
  expect(sampleOf(metrics, "hedgerow_lease_transitions_total", '{to="gained"}')).toBe(1);
  const token = sampleOf(metrics, "hedgerow_leader_token_timestamp_seconds");
  expect(Math.round(1e6 * token)).toBe(Number(real.node.token));
  expect(Math.abs(Date.now() / 1e3 - token)).toBeLessThan(60);
  const remaining = sampleOf(metrics, "hedgerow_lease_remaining_seconds");
  expect(remaining).toBeGreaterThan(0);
  expect(remaining).toBeLessThan(2);
  const renewed = sampleOf(metrics, "hedgerow_lease_renewed_timestamp_seconds");
  expect(Math.abs(renewed - token)).toBeLessThan(2);
  const started = sampleOf(metrics, "process_start_time_seconds");
  expect(started).toBeLessThanOrEqual(token);
  expect(sampleOf(metrics, "process_resident_memory_bytes")).toBeGreaterThan(1e7);
  expect(sampleOf(metrics, "process_open_fds")).toBeGreaterThan(3);
});

test("a node without a store exposes what it has", async () => {
  await using node = await Hedgerow.start({ store: "none", address: "127.0.0.1:0", tls: "none" });
  const metrics = parseExposition(await node.metrics());
  expect(sampleOf(metrics, "hedgerow_cluster_node_gossip_alive_peers")).toBe(1);
  expect([...metrics.keys()].filter((name) => /leader|lease|claims|log_/.test(name))).toEqual([]);
  expect(sampleOf(metrics, "hedgerow_store_calls_total", '{call="ping",code="ok"}')).toBe(0);
});

test("the library's text is the page without the process", async () => {
  await using real = await RealNode.start();
  const names = [...parseExposition(await real.node.metrics()).keys()];
  const onPage = [...parseExposition(await page(real)).keys()];
  expect(names).toEqual(onPage.filter((name) => name.startsWith("hedgerow_")));
  expect(onPage.length - names.length).toBe(4);
});

test("a page of another origin reads no metrics", async () => {
  const { ask } = appKit();
  expect((await ask("/metrics")).status).toBe(200);
  const foreign = await ask("/metrics", { headers: { origin: "https://evil.example" } });
  expect(foreign.status).toBe(403);
  expect((await ask("/metrics", { headers: { host: "evil.example" } })).status).toBe(421);
});

const missing = Bun.which("promtool") === null ? "there is no promtool (prometheus)" : null;
if (missing !== null) process.stderr.write(`SKIPPED: promtool check metrics: ${missing}\n`);

test.skipIf(missing !== null)("promtool finds nothing to complain of", async () => {
  await using real = await RealNode.start();
  await real.node.put("key", "value");
  const check = Bun.spawn(["promtool", "check", "metrics"], {
    stdin: new Blob([await page(real)]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [said, warned] = await Promise.all([
    new Response(check.stdout).text(),
    new Response(check.stderr).text(),
  ]);
  expect({ said, warned, code: await check.exited }).toEqual({ said: "", warned: "", code: 0 });
});
