// Clients that ask for much and read nothing, against a real node: what it holds for them stays within its bounds.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Cluster, freePlaces, LONG, type Node } from "./processes.ts";

const VERSION_BYTES = 1_000_000;
/**
 * Of one connection may wait 32 MiB, of all 128. In memory a reply is there twice while it is made, and what was dropped
 * stays until it is collected.
 */
const ONE_CONNECTION_MIB = 200;
const MANY_CONNECTIONS_MIB = 1_000;

let cluster: Cluster;
let node: Node;
const clients: Bun.Subprocess<"ignore", "pipe", "inherit">[] = [];

beforeEach(async () => {
  cluster = await Cluster.start({ places: await freePlaces(1, { grpc: true }) });
  node = await cluster.settled();
  for (let i = 0; i < 6; i++) {
    const put = await node.put("bulk", "x".repeat(VERSION_BYTES), `version-${i}`);
    expect(put.ok).toBe(true);
  }
}, 30_000);

afterEach(async () => {
  for (const client of clients) client.kill("SIGKILL");
  await Promise.all(clients.splice(0).map(({ exited }) => exited));
  await cluster[Symbol.asyncDispose]();
});

type Protocol = "grpc" | "connect";

function ask(protocol: Protocol, calls: number, versions: number, how: "read" | "unread") {
  const script = join(import.meta.dir, "clients/bulk.mjs");
  const address = protocol === "grpc" ? node.grpc : new URL(node.url).host;
  const client = Bun.spawn(["node", script, address, protocol, `${calls}`, `${versions}`, how], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  clients.push(client);
  return client;
}

async function residentMib(): Promise<number> {
  const status = await readFile(`/proc/${node.pid}/status`, "utf8");
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** The most that the node grew in these seconds, in MiB. */
async function growth(seconds: number, since: number): Promise<number> {
  let most = 0;
  const until = performance.now() + seconds * 1e3;
  while (performance.now() < until) {
    most = Math.max(most, (await residentMib()) - since);
    await Bun.sleep(20);
  }
  return most;
}

describe.each(["grpc", "connect"] as const)("over %s", (protocol) => {
  test.each([
    [400, 1],
    [100, 6],
  ])(
    "%i unread replies of %i MB cost no more than what one connection may have, and no other client anything",
    async (calls, versions) => {
      const before = await residentMib();
      ask(protocol, calls, versions, "unread");
      expect(await growth(3, before)).toBeLessThan(ONE_CONNECTION_MIB);
      expect(await node.entries("bulk", 6)).toHaveLength(6);
    },
    30_000,
  );

  test("whoever reads gets all of 120 replies of 1 MB that it asks for at once", async () => {
    const client = ask(protocol, 120, 1, "read");
    const { bytes, statuses } = JSON.parse(await new Response(client.stdout).text());
    expect(statuses).toEqual({ [protocol === "grpc" ? "0" : "200"]: 120 });
    expect(bytes).toBeGreaterThan(120 * VERSION_BYTES);
  }, 60_000);

  test("twelve clients that read nothing bar nobody: they are cut off while others wait", async () => {
    const before = await residentMib();
    for (let i = 0; i < 12; i++) ask(protocol, 100, 1, "unread");
    const most = growth(8, before);
    await Bun.sleep(1_500); // the room is taken
    let answered = false;
    const giveUpAt = performance.now() + 60_000;
    while (!answered && performance.now() < giveUpAt) {
      const answer = await node.call("Get", { key: "bulk", limit: 1 }, 10_000);
      answered = answer.ok;
      if (!answer.ok) expect(answer.message).toMatch(/too many bytes of replies|timed out/);
    }
    expect(answered).toBe(true);
    expect(await most).toBeLessThan(MANY_CONNECTIONS_MIB);
  }, 120_000);
});

test("over HTTP/1.1, replies on many connections have one bound", async () => {
  const before = await residentMib();
  const [host, port] = new URL(node.url).host.split(":");
  const { connect } = await import("node:net");
  const body = '{"key": "bulk", "limit": -1}';
  const head = `POST /hedgerow.v1.HedgerowService/Get HTTP/1.1\r\nhost: ${host}\r\n`;
  const sockets = Array.from({ length: 150 }, () => {
    const socket = connect(Number(port), host);
    socket.on("error", () => {}); // it is cut off, or not
    socket.pause();
    socket.write(`${head}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`);
    socket.write(body);
    return socket;
  });
  expect(await growth(3, before)).toBeLessThan(MANY_CONNECTIONS_MIB);
  for (const socket of sockets) socket.destroy();
}, 30_000);

test.skipIf(!LONG)(
  "a connection that takes nothing for half a minute is ended",
  async () => {
    const client = ask("grpc", 400, 1, "unread");
    const ended = await Promise.race([client.exited, Bun.sleep(60_000).then(() => "never")]);
    expect(ended).toBe(0);
    expect(await residentMib()).toBeLessThan(300);
  },
  90_000,
);
