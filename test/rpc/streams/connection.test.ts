import { expect, test } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { HedgerowError } from "../../../src/errors.ts";
import { type Connection, connect } from "../../../src/rpc/streams/connection.ts";
import { exchangeOverSocket, CHUNK_ROOM } from "../../../src/rpc/streams/over-socket.ts";
import type { TlsMaterial } from "../../../src/rpc/tls.ts";
import { TestCluster, validity } from "../kit/cluster.ts";
import { withoutLong } from "../kit/clock.ts";
import { atEnd, peers, runtime } from "../kit/nodes.ts";
import { otherName } from "../kit/other-name.ts";
import { freePort, rawServer } from "../kit/sockets.ts";
import { KIND } from "../kit/streams.ts";
import { failureOf, until, untilStill } from "../kit/wait.ts";

const cluster = new TestCluster();
const foreign = new TestCluster();
const member = cluster.member("c");
const MB = 1024 * 1024;
const never = new AbortController().signal;

/** What a connection told its owner. */
class Told {
  readonly chunks: Buffer[] = [];
  readonly failures: Error[] = [];
  closes = 0;

  data(bytes: Buffer): void {
    this.chunks.push(bytes);
  }

  failed(error: Error): void {
    this.failures.push(error);
  }

  closed(): void {
    this.closes++;
  }
}

interface Server {
  readonly address: string;
  readonly port: number;
  readonly received: () => number;
  readonly open: () => number;
}

type Reaction = (socket: Bun.Socket, bytes: Buffer) => void;

function serve(
  tls: Bun.TLSOptions | null,
  react: Reaction = () => {},
  hostname = "127.0.0.1",
): Server {
  let received = 0;
  const open = new Set<Bun.Socket>();
  const server = Bun.listen({
    hostname,
    port: 0,
    ...(tls !== null && { tls }),
    socket: {
      open: (socket) => void open.add(socket),
      data(socket, bytes) {
        received += bytes.length;
        react(socket, bytes);
      },
      close: (socket) => void open.delete(socket),
      error() {},
    },
  });
  atEnd(() => server.stop(true));
  const { port } = server;
  return {
    port,
    address: `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`,
    received: () => received,
    open: () => open.size,
  };
}

function asServer({ key, cert, ca }: TlsMaterial): Bun.TLSOptions {
  return { key, cert, ca: [...ca], requestCert: true, rejectUnauthorized: true };
}

/** Sockets that this process has open. */
function sockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
    } catch {
      return false; // closed meanwhile
    }
  }).length;
}

async function unhandledDuring(run: () => Promise<void>): Promise<unknown[]> {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    await run();
    // At the end of a turn a rejection counts as unhandled.
    for (let turns = 0; turns < 3; turns++) await new Promise(setImmediate);
  } finally {
    process.off("unhandledRejection", note);
  }
  return unhandled;
}

const DISTRUSTED: readonly (readonly [string, TlsMaterial])[] = [
  ["of another authority", foreign.member("s")],
  ["for another name", otherName(cluster)],
  ["that has expired", cluster.member("s", validity(-7_200_000, -3_600_000))],
  ["that is not valid yet", cluster.member("s", validity(3_600_000, 7_200_000))],
];

test.each(DISTRUSTED)("C6: nothing is sent to a server with a certificate %s", async (_, shown) => {
  const server = serve({ key: shown.key, cert: shown.cert });
  const told = new Told();
  const error = await failureOf(connect(server.address, member, told, never));
  expect(error).toMatchObject({ code: "unavailable" });
  await until("it is closed there, too", () => server.open() === 0);
  expect([server.received(), told.closes, told.failures]).toEqual([0, 0, []]);
  const clients = peers({ tls: () => member });
  expect(await failureOf(clients.stream(server.address, KIND, {}, ["secret"]))).toMatchObject({
    code: "unavailable",
  });
  expect(server.received()).toBe(0);
});

test("C6: a server reads nothing of who has no certificate of its authority", async () => {
  const server = serve(asServer(cluster.member("s")));
  const ca = [cluster.authority.cert];
  for (const { key, cert } of [foreign.member("c"), otherAuthority(), expired()]) {
    const told = new Told();
    // TLS 1.3: the server looks at the certificate when the client has long begun.
    const connection = await connect(server.address, { key, cert, ca }, told, never).catch(
      (error: HedgerowError) => {
        expect(error.code).toBe("unavailable");
        return null;
      },
    );
    if (connection === null) continue;
    await connection.write(new Uint8Array(1_000));
    await until("it is told", () => told.closes > 0);
    expect(told.closes).toBe(1);
  }
  expect(server.received()).toBe(0);
});

function otherAuthority(): TlsMaterial {
  return new TestCluster().member("c");
}

function expired(): TlsMaterial {
  return cluster.member("c", validity(-7_200_000, -3_600_000));
}

test("where nobody is: a closed port, no such host, an end before, in and instead of the handshake", async () => {
  const cutting = rawServer((socket) => socket.terminate());
  const ending = rawServer((socket) => socket.end());
  const plain = rawServer((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const half = rawServer((socket) => {
    socket.write(new Uint8Array([0x16, 0x03, 0x03, 0x10]));
    socket.end();
  });
  const closed = `127.0.0.1:${freePort()}`;
  const addresses = [cutting, ending, plain, half].map(({ address }) => address);
  const unhandled = await unhandledDuring(async () => {
    const before = sockets();
    for (const [address, tls] of [
      [closed, null],
      [closed, member],
      ["[::1]:1", null],
      ["127.0.0.1:99999", null],
      [plain.address, { ...member, key: foreign.member("x").key }],
      [plain.address, { ...member, ca: ["no certificate"] }],
      ["no-such-host.invalid:1", null],
      ["no-such-host.invalid:1", member],
      ...addresses.map((address) => [address, member] as const),
    ] as const) {
      const told = new Told();
      const error = await failureOf(connect(address, tls, told, never));
      expect([address, (error as HedgerowError).code]).toEqual([address, "unavailable"]);
      expect([told.closes, told.failures]).toEqual([0, []]);
    }
    await until("no socket is left", () => sockets() <= before);
  });
  expect(unhandled).toEqual([]);
});

test("an address of IPv6", async () => {
  let server: Server;
  try {
    server = serve(null, (socket, bytes) => void socket.write(bytes), "::1");
  } catch {
    console.warn("skipped: this machine has no ::1");
    return;
  }
  const told = new Told();
  const connection = await connect(server.address, null, told, never);
  await connection.write(Buffer.from("x"));
  await until("it comes back", () => told.chunks.length > 0);
  connection.close();
});

test.each([
  ["plain", false],
  ["mutual TLS", true],
])("who gives up while a connection is made waits for nothing (%s)", async (_, secure) => {
  const tls = secure ? member : null;
  const silent = rawServer(); // it answers no handshake
  const before = sockets();
  for (const when of ["before", "at once", "in the handshake"] as const) {
    const controller = new AbortController();
    const reason = new HedgerowError("canceled", "given up");
    if (when === "before") controller.abort(reason);
    const made = connect(silent.address, tls, new Told(), controller.signal);
    if (when === "in the handshake") await until("it is there", () => silent.open() > 0);
    if (when === "in the handshake" && !secure) (await made).close();
    else {
      controller.abort(reason);
      expect(await failureOf(made)).toBe(reason);
    }
    await until("it is closed", () => silent.open() === 0 && sockets() <= before);
  }
});

test("a node whose peer never answers the handshake stops all the same", async () => {
  const silent = rawServer();
  const clients = peers({ tls: () => member, clock: withoutLong(runtime.clock) });
  const call = clients.stream(silent.address, KIND, {}, []).catch((error: HedgerowError) => error);
  await until("it is asked", () => silent.open() > 0);
  await clients.close();
  expect(await call).toMatchObject({ code: "stopped" });
  await until("nothing is left of it", () => silent.open() === 0);
});

test.each([
  ["plain", false],
  ["mutual TLS", true],
])(
  "what a slow reader does not take waits, and comes as it was (%s)",
  async (_, secure) => {
    const pieces = [1, 100_000, 8 * MB, 0, 5, 3 * MB + 1];
    const total = pieces.reduce((sum, length) => sum + length, 0);
    const whole = Buffer.alloc(total, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
    let at = 0;
    let wrong = 0;
    let reader: Bun.Socket | null = null;
    const server = serve(secure ? asServer(cluster.member("s")) : null, (socket, bytes) => {
      if (reader === null) socket.pause(); // as who has something else to do
      reader ??= socket;
      if (!bytes.equals(whole.subarray(at, at + bytes.length))) wrong++;
      at += bytes.length;
    });
    const told = new Told();
    const connection = await connect(server.address, secure ? member : null, told, never);
    let written = 0;
    const writing = (async () => {
      let from = 0;
      for (const length of pieces) {
        const piece = Buffer.from(whole.subarray(from, from + length));
        await connection.write(piece);
        written++;
        piece.fill(0xee); // it is the sender's again
        from += length;
      }
    })();
    await until("it is there", () => reader !== null);
    await untilStill(() => written, 50);
    expect(written).toBeLessThan(pieces.length); // the system's buffers hold less
    (reader as Bun.Socket | null)?.resume();
    await writing;
    await until("all of it is there", () => at === total);
    expect(wrong).toBe(0);
    connection.close();
    await until("both ends are closed", () => server.open() === 0 && told.closes === 1);
  },
  90_000,
);

test.each([
  ["plain", false],
  ["mutual TLS", true],
])("a write that waits ends with the connection, whoever ends it (%s)", async (_, secure) => {
  for (const who of ["here", "there"] as const) {
    const server = serve(secure ? asServer(cluster.member("s")) : null, (socket) => {
      socket.pause();
      if (who === "there") setTimeout(() => socket.terminate(), 20);
    });
    const told = new Told();
    const connection: Connection = await connect(
      server.address,
      secure ? member : null,
      told,
      never,
    );
    await connection.write(new Uint8Array(1));
    const writing = connection.write(new Uint8Array(32 * MB));
    expect(writing).toBeInstanceOf(Promise);
    if (who === "here") setTimeout(() => connection.close(), 20);
    await writing;
    await until("it is told", () => told.closes === 1);
    await connection.write(new Uint8Array(10)); // which nobody reads
    connection.close();
    expect(told.closes).toBe(1);
  }
});

const HEAD = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/** One exchange with a server that sends `answer` and ends; how it ended, and what was told of the answer. */
async function exchange(server: { readonly address: string }, signal: AbortSignal = never) {
  let status = 0;
  let body = "";
  let isOver = false;
  const over = exchangeOverSocket(server.address, "/x", null, {
    headers: { a: "b" },
    signal,
    next: async () =>
      isOver ? null : { head: new Uint8Array(CHUNK_ROOM + 3), body: new Uint8Array(200_000) },
    answered(given) {
      status = given;
    },
    receive(bytes) {
      body += Buffer.from(bytes).toString();
      return true;
    },
  });
  const code = await over.then(
    () => "well",
    (error: unknown) => (error instanceof HedgerowError ? error.code : String(error)),
  );
  isOver = true;
  return { code, status, body };
}

test("a server that closes after the handshake, in its answer and behind it: each exchange ends, nothing is left", async () => {
  const answers = {
    "": { code: "outcome_unknown", status: 0, body: "" },
    [HEAD.slice(0, 20)]: { code: "outcome_unknown", status: 0, body: "" },
    [`${HEAD}3\r\nab`]: { code: "outcome_unknown", status: 200, body: "ab" },
    [`${HEAD}2\r\nab\r\n`]: { code: "outcome_unknown", status: 200, body: "ab" },
    [`${HEAD}2\r\nab\r\n0\r\n\r\n`]: { code: "well", status: 200, body: "ab" },
    "HTTP/1.1 503 No\r\n\r\nx": { code: "well", status: 503, body: "x" },
    "no HTTP\r\n\r\n": { code: "outcome_unknown", status: 0, body: "" },
  };
  const before = sockets();
  const unhandled = await unhandledDuring(async () => {
    for (const [answer, expected] of Object.entries(answers)) {
      const server = rawServer((socket, _, nth) => {
        if (nth > 1) return;
        socket.write(answer);
        socket.end();
      });
      expect([answer, await exchange(server)]).toEqual([answer, expected]);
      await until("it is closed", () => server.open() === 0);
    }
  });
  expect(unhandled).toEqual([]);
  await until("no socket is left but of those who listen", () => {
    return sockets() <= before + Object.keys(answers).length;
  });
});

test("an exchange that is given up while it sends ends at once, and asks for nothing more", async () => {
  const server = rawServer((socket) => socket.pause());
  const controller = new AbortController();
  let asked = 0;
  const reason = new HedgerowError("canceled", "given up");
  const over = exchangeOverSocket(server.address, "/x", null, {
    headers: {},
    signal: controller.signal,
    next: async () => {
      asked++;
      return controller.signal.aborted
        ? null
        : { head: new Uint8Array(CHUNK_ROOM), body: new Uint8Array(64 * MB) };
    },
    answered() {},
    receive: () => true,
  });
  await until("it sends", () => asked === 1 && server.received.length > 0);
  controller.abort(reason);
  expect(await failureOf(over)).toBe(reason);
  await until("it is closed", () => server.open() === 0);
  expect(asked).toBeLessThanOrEqual(2);
});
