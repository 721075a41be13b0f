import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { AppendLoad } from "./load.ts";
import { BINARY, Cluster, freePorts, type Node, until } from "./processes.ts";
import { type ClusterStore, describeOnStores } from "./stores.ts";

/** Where nodes run that are no cluster's. */
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-serve-"));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the binary to its end. */
async function run(args: string[], { cwd = folder, env = {} } = {}, timeoutMs = 15_000) {
  const child = Bun.spawn([BINARY, ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(timer);
  return { stdout, stderr, code };
}

/** Flags of a node of its own that would start if nothing were wrong. */
async function sound(...flags: string[]): Promise<string[]> {
  const [peer, http] = await freePorts(2);
  const addresses = ["--peer-addr", `127.0.0.1:${peer}`, "--http-addr", `127.0.0.1:${http}`];
  return ["serve", ...addresses, ...flags];
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

/** Local ports of the connections that are, or lately were, open to a node's peer listener. */
async function connectionsTo(node: Node): Promise<Set<string>> {
  const port = Number(node.address.split(":")[1]);
  const target = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = (await Bun.file("/proc/net/tcp").text()).split("\n").map((row) => row.split(/\s+/));
  return new Set(rows.filter((row) => row[3] === target).map((row) => row[2] ?? ""));
}

describeOnStores("serve", (kind) => {
  let store: ClusterStore;
  let cluster: Cluster;
  let leader: Node;
  let follower: Node;

  beforeAll(async () => {
    store = await kind.make();
    cluster = await Cluster.start({ store, flags: ["--log-level", "debug"] });
    leader = await cluster.settled();
    follower = cluster.nodes.find((node) => node !== leader) as Node;
  }, 30_000);

  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
  });

  test("all four demo endpoints answer on all three nodes", async () => {
    const host = hostname();
    for (const [i, node] of cluster.nodes.entries()) {
      const value = `some value ${i}`;
      expect(await node.demo("/put", `demo-${i} ${value}`)).toEqual({
        status: 200,
        text: `put: sender=${host}, key=demo-${i}, value=${value}`,
      });
      const got = await node.demo("/get", `demo-${i}`);
      expect(got.status).toBe(200);
      expect(got.text).toMatch(
        new RegExp(
          `^get: sender=${host}, key=demo-${i}, value=\\[\\{Key:demo-${i} Value:${value} Timestamp:[-0-9]+ [:.0-9]+ \\+0000 UTC\\}\\]$`,
        ),
      );
      const sent = await node.demo("/send", "hi");
      expect(sent.text).toContain(
        `reply=leader [${host}/${leader.address}] received the message [hi]`,
      );
      const told = await node.demo("/broadcast", "all");
      for (const { address } of cluster.nodes) {
        expect(told.text).toContain(`[${host}/${address}] received the broadcast message [all]`);
      }
    }
  });

  test("a follower's put is readable everywhere, oldest, newest, all", async () => {
    for (const n of [1, 2, 3]) await follower.put("versions", `v${n}`, `id-${n}`);
    for (const node of cluster.nodes) {
      const values = async (limit: number) =>
        (await node.entries("versions", limit)).map(({ value }) => value);
      expect(await values(-1)).toEqual(["v3", "v2", "v1"]);
      expect(await values(0)).toEqual(["v3"]);
      expect(await values(-2)).toEqual(["v1"]);
      expect(await values(2)).toEqual(["v3", "v2"]);
    }
  });

  test("C3: sends and puts in steady state open no new connection to the leader", async () => {
    const exchange = async (i: number) => {
      expect((await follower.put(`c3-${i}`, "x", `c3-${i}`)).ok).toBe(true);
      expect((await follower.call("Send", { data: "aGk=" })).ok).toBe(true);
    };
    for (let i = 0; i < 20; i++) await exchange(i);
    const before = await connectionsTo(leader);
    for (let i = 20; i < 220; i++) await exchange(i);
    const opened = [...(await connectionsTo(leader))].filter((port) => !before.has(port));
    expect(opened).toEqual([]);
  });

  test("L12: a flood of puts costs no leadership", async () => {
    const before = (await follower.status())?.token;
    const load = new AppendLoad(cluster, 32);
    await Bun.sleep(4_000);
    await load.stop();
    expect(load.acknowledged.length).toBeGreaterThan(500);
    expect((await follower.status())?.token).toBe(before);
  }, 20_000);

  test("C11: values and messages are never logged, whatever the level", async () => {
    const secret = "s3cret-4f1c-value";
    await follower.put("c11", secret, "c11");
    await follower.put("c11", `${secret}-other`, "c11");
    await follower.call("Send", { data: btoa(secret) });
    await follower.demo("/put", `c11 ${secret}`);
    await follower.demo("/broadcast", secret);
    await follower.demo("/put", `${"k".repeat(5000)} ${secret}`);
    for (const node of cluster.nodes) {
      expect(node.stderr.length).toBeGreaterThan(100);
      expect(node.stderr).not.toContain(secret);
      expect(node.stderr).not.toContain(btoa(secret));
    }
  });

  test("another lease than the cluster's: one line, exit code 2, and the cluster goes on", async () => {
    const args = await sound(...store.flags, "--lease", "5s");
    const { stderr, code } = await run(args, { cwd: cluster.folder, env: store.env });
    expect(code).toBe(2);
    expect(lastLine(stderr)).toMatch(
      /leases differ, (5000 ms and 2000|2000 ms and 5000) ms: .*--lease/,
    );
    expect((await follower.put("after", "x", "after")).ok).toBe(true);
  });

  test("C10: SIGTERM while traffic flows: exit code 0, each call ends, and everything is closed", async () => {
    await using ownStore = await kind.make();
    await using own = await Cluster.start({ nodes: 1, store: ownStore });
    const only = await own.settled();
    const load = new AppendLoad(own, 8);
    await Bun.sleep(500);
    only.signal("SIGTERM");
    expect(await only.exited()).toBe(0);
    await load.stop();
    const acknowledged = load.acknowledged.length;
    expect(acknowledged).toBeGreaterThan(10);
    only.start();
    await own.settled();
    expect(await load.violations(only)).toEqual([]);
  }, 30_000);

  test("a single node does all of it", async () => {
    await using ownStore = await kind.make();
    await using own = await Cluster.start({ nodes: 1, store: ownStore });
    const only = await own.settled();
    expect((await only.put("key", "value", "id")).ok).toBe(true);
    expect((await only.entries("key")).length).toBe(1);
    expect((await only.demo("/send", "x")).status).toBe(200);
    expect((await only.demo("/broadcast", "x")).text).toContain(
      "received the broadcast message [x]",
    );
    await until(
      "it is ready",
      5_000,
      async () => (await fetch(`${only.url}/readyz`)).status === 200,
    );
  }, 30_000);
});

describe("serve, whatever the store", () => {
  let cluster: Cluster;
  let node: Node;

  beforeAll(async () => {
    cluster = await Cluster.start({ nodes: 1 });
    node = await cluster.settled();
  }, 30_000);

  afterAll(() => cluster[Symbol.asyncDispose]());

  test("C6: a peer without a certificate is refused, by TLS and in plain text", async () => {
    const path = `${node.address}/hedgerow.v1.PeerService/Append`;
    const options = { method: "POST", headers: { "content-type": "application/proto" } };
    const outsider = fetch(`https://${path}`, { ...options, tls: { rejectUnauthorized: false } });
    await expect(outsider).rejects.toThrow();
    await expect(fetch(`http://${path}`, options)).rejects.toThrow();
  });

  test("bad input over HTTP is a clear line, and nothing is written", async () => {
    const before = await node.entries("bad-input");
    const oversized = await node.put("bad-input", "x".repeat(2 * 1024 * 1024 + 1), "id");
    expect(oversized).toMatchObject({ ok: false, code: "resource_exhausted" });
    const longKey = await node.put("k".repeat(4097), "x", "id");
    expect(longKey).toMatchObject({ ok: false, code: "resource_exhausted" });
    const reserved = await node.put("__hedgerow/ca", "x", "id");
    expect(reserved).toMatchObject({ ok: false, code: "invalid_argument" });
    expect(await node.demo("/put", "novalue")).toEqual({
      status: 400,
      text: expect.stringContaining("invalid msg format"),
    });
    expect((await node.demo("/nowhere", "")).status).toBe(404);
    const url = `${node.url}/hedgerow.v1.HedgerowService/Put`;
    const headers = { "content-type": "application/json" };
    const malformed = await fetch(url, { method: "POST", headers, body: "{ not json" });
    expect(malformed.status).toBe(400);
    const foreign = await fetch(url, {
      method: "POST",
      headers: { ...headers, origin: "https://evil.example" },
      body: "{}",
    });
    expect(foreign.status).toBe(403);
    expect(await node.entries("bad-input")).toEqual(before);
  });

  test("bad flags: one line that names the mend, exit code 2", async () => {
    for (const [args, said] of [
      [["serve", "--leese", "2s"], /--leese/],
      [["serve", "--lease", "1s"], /lease/],
      [["serve", "--peer-addr", "nonsense"], /peer-addr/],
      [["serve", "--store", "mysql:x"], /sqlite:PATH/],
      [["frobnicate"], /frobnicate/],
    ] as const) {
      const { stderr, code } = await run([...args]);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(stderr).toMatch(said);
      expect(stderr.trimEnd().split("\n").length).toBeLessThanOrEqual(2);
    }
  });

  test("C9: a busy port, an unreadable file, a missing folder: one line, exit code 1", async () => {
    const broken = join(folder, "broken.db");
    await writeFile(
      broken,
      "this is not a database, and it is long enough to be read as one".repeat(20),
    );
    const args = await sound("--store", `sqlite:${join(folder, "own.db")}`);
    const busyHttp = [...args, "--http-addr", new URL(node.url).host];
    const busyPeer = [...args, "--peer-addr", node.address];
    const notADatabase = await sound("--store", `sqlite:${broken}`);
    const noFolder = await sound("--store", `sqlite:${join(folder, "missing", "x.db")}`);
    for (const wrong of [busyHttp, busyPeer, notADatabase, noFolder]) {
      const { stderr, code } = await run(wrong);
      expect({ wrong, code }).toEqual({ wrong, code: 1 });
      expect(lastLine(stderr).length).toBeGreaterThan(20);
      expect(stderr).not.toMatch(/\n\s+at /);
    }
    expect(await Bun.file(broken).text()).toStartWith("this is not a database");
  }, 60_000);

  test("C9: a file that may not be read is named", async () => {
    if (process.getuid?.() === 0) {
      console.log("skipped: root may read every file");
      return;
    }
    const locked = join(folder, "locked.db");
    await writeFile(locked, "");
    await chmod(locked, 0o000);
    const { stderr, code } = await run(await sound("--store", `sqlite:${locked}`));
    expect(code).toBe(1);
    expect(lastLine(stderr)).toContain(locked);
  });
});
