import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import type { NodeHandler } from "../../src/node/api.ts";
import { Hedgerow } from "../../src/node/hedgerow.ts";
import type { HedgerowOptions } from "../../src/node/options.ts";
import { TestCluster } from "../rpc/kit/cluster.ts";
import { failureOf, until } from "../rpc/kit/wait.ts";

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/** A server that an application has: it answers something else at `/`. */
type Application = (port: number, node: () => NodeHandler | null) => Bun.Server<undefined>;

const withRoutes: Application = (port, node) => {
  const serveWith = (handler: NodeHandler | null) => ({
    ...(handler !== null && { [handler.route]: handler.fetch }),
    "/": () => new Response("the application"),
  });
  const options = { hostname: "127.0.0.1", port, idleTimeout: 120 };
  const server = Bun.serve({ ...options, routes: serveWith(node()) });
  return Object.assign(server, {
    mount: () => server.reload({ routes: serveWith(node()) }),
  });
};

const withHono: Application = (port, node) => {
  const app = new Hono<{ Bindings: Bun.Server<undefined> }>();
  app.get("/", (c) => c.text("the application"));
  app.all("/hedgerow/peer/*", (c) => node()?.fetch(c.req.raw, c.env) ?? c.text("early", 503));
  return Bun.serve({ hostname: "127.0.0.1", port, idleTimeout: 120, fetch: app.fetch });
};

/** A node that is mounted on such a server. */
async function mounted(application: Application, options: HedgerowOptions = {}): Promise<Hedgerow> {
  let handler: NodeHandler | null = null;
  const server = application(0, () => handler);
  opened.push(() => server.stop(true));
  const node = await Hedgerow.start({
    store: "none",
    tls: "none",
    listen: false,
    address: `127.0.0.1:${server.port}`,
    onBroadcast: (data) => data,
    spillMemory: 1_000_000,
    spillDisk: 0,
    ...options,
  });
  opened.push(() => node.stop());
  handler = node.handler();
  (server as { mount?: () => void }).mount?.();
  return node;
}

const count = (node: Hedgerow) => node.members().length;

describe.each([
  ["routes of Bun.serve", withRoutes],
  ["a Hono app", withHono],
] as const)("mounted on %s", (_, application) => {
  test("two nodes are a cluster, beside what the application serves", async () => {
    const [a, b] = await Promise.all([mounted(application), mounted(application)]);
    await b.join([a.address]);
    await until("both know both", () => count(a) === 2 && count(b) === 2);
    const replies = await a.broadcast("hello");
    const texts = replies.map((reply) => "data" in reply && Buffer.from(reply.data).toString());
    expect(texts).toEqual(["hello", "hello"]);
    const home = await fetch(`http://${a.address}/`);
    expect(await home.text()).toBe("the application");
    const foreign = await fetch(
      `http://${a.address}/hedgerow/peer/hedgerow.v1.PeerService/Deliver`,
      {
        method: "POST",
        headers: { "content-type": "application/proto" },
      },
    );
    expect(foreign.status).toBe(400);
    expect(await foreign.json()).toMatchObject({ code: "failed_precondition" });
    // A node with a port of its own is a member like any other.
    const own = await Hedgerow.start({
      store: "none",
      tls: "none",
      address: "127.0.0.1:0",
      join: [b.address],
    });
    opened.push(() => own.stop());
    await until("all know all", () => [a, b, own].every((node) => count(node) === 3));
    // Streams, too: what does not fit into this node's memory.
    const spilled = a.spill("records");
    const records = Array.from({ length: 2_600 }, (_, i) => `${i}`.padEnd(500));
    await spilled.writer().appendAll(records);
    expect(spilled.stats().tiers.remoteMemory.records).toBeGreaterThan(0);
    let read = 0;
    for await (const record of spilled.reader()) {
      expect(Buffer.from(record).toString()).toBe(records[read++] as string);
    }
    expect(read).toBe(records.length);
    await spilled.close();
    await b.stop();
    await until("it is gone", () => count(a) === 2);
    const stopped = await b.handler().fetch(new Request(`http://${b.address}/hedgerow/peer/x`));
    expect(stopped.status).toBe(503);
  });
});

test("with a store, nodes that are mounted elect a leader and put through it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-mounted-"));
  opened.push(() => rm(folder, { recursive: true }));
  const options = { store: `sqlite:${join(folder, "x.db")}`, lease: "2s" };
  const [a, b] = await Promise.all([mounted(withRoutes, options), mounted(withHono, options)]);
  await until("both know a leader", () => a.leader !== null && b.leader === a.leader, 10_000);
  await Promise.all([a.put("k", "1"), b.put("l", "2")]);
  expect((await a.get("l"))[0]?.value).toBe("2");
});

test("with TLS the application's server shows the certificates, and checks those of others", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-mounted-"));
  opened.push(() => rm(folder, { recursive: true }));
  const cluster = new TestCluster();
  const start = async (name: string) => {
    const { cert, key, ca } = cluster.member(name);
    const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
    await Promise.all([
      Bun.write(files.cert, cert),
      Bun.write(files.key, key),
      Bun.write(join(folder, "ca"), ca.join("\n")),
    ]);
    const tls = { cert, key, ca: [...ca], requestCert: true, rejectUnauthorized: true };
    const application: Application = (port, node) =>
      Bun.serve({
        hostname: "127.0.0.1",
        port,
        tls,
        http2: true,
        fetch: (request, server) =>
          node()?.fetch(request, server) ?? new Response("early", { status: 503 }),
      });
    return mounted(application, { tls: { ...files, ca: join(folder, "ca") } });
  };
  const [a, b] = await Promise.all([start("a"), start("b")]);
  await b.join([a.address]);
  await until("both know both", () => count(a) === 2 && count(b) === 2);
  const outsider = fetch(`https://${a.address}/`, { tls: { rejectUnauthorized: false } });
  expect(await failureOf(outsider)).toBeInstanceOf(Error);
});

test.each([
  [{ listen: false, store: "none", tls: "none" }, /^listen: false needs the address/],
  [{ listen: false, store: "none", tls: "none", address: "127.0.0.1:0" }, /^listen: false needs/],
  [{ listen: false, address: "127.0.0.1:1" }, /^listen: false: your server cannot show/],
] as const)("%p is refused with its mend", async (options, message) => {
  const error = await failureOf(Hedgerow.start(options));
  expect(error).toMatchObject({ code: "invalid_argument" });
  expect((error as Error).message).toMatch(message);
});
