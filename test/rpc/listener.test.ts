import { expect, test } from "bun:test";
import { connect } from "node:tls";
import { HedgerowError } from "../../src/errors.ts";
import { serve } from "../../src/rpc/port.ts";
import { clientTls } from "../../src/rpc/tls.ts";
import { withoutLong } from "./kit/clock.ts";
import { TestCluster } from "./kit/cluster.ts";
import {
  addressOf,
  announce,
  append,
  bytes,
  deliver,
  deliverRoute,
  echo,
  listen,
  peers,
  runtime,
} from "./kit/nodes.ts";
import { failureOf, lookedAtLater, until } from "./kit/wait.ts";

const cluster = new TestCluster();

function bindFailure(options: { host?: string; port?: number }): HedgerowError {
  try {
    listen(options);
  } catch (error) {
    if (error instanceof HedgerowError) return error;
    throw error;
  }
  throw new Error("it was bound");
}

test("C9: a busy port is one line that names the port and the mend", () => {
  const { port } = listen();
  const { code, message } = bindFailure({ port });
  expect(code).toBe("unavailable");
  expect(message).toMatch(new RegExp(`^port ${port} is in use: .*another port$`));
});

test("C9: an address that cannot be bound is one line that names it", () => {
  for (const host of ["nobody.invalid", "203.0.113.1", "256.1.1.1"]) {
    const { code, message } = bindFailure({ host });
    expect(code).toBe("invalid_argument");
    expect(message).toStartWith(`${host} is not an address of this machine`);
    expect(message).not.toContain("\n");
  }
  expect(bindFailure({ port: 70_000 }).code).toBe("invalid_argument");
});

test("C10: calls under way at stop finish, later ones are surely not executed", async () => {
  const gate = Promise.withResolvers<void>();
  let running = 0;
  const route = deliverRoute(async ({ data }) => {
    running++;
    await gate.promise;
    return { data };
  });
  const listener = listen({ tls: cluster.member("s"), routes: [route], graceMs: 5_000 });
  const clients = peers({ tls: () => cluster.member("c") });
  const address = addressOf(listener);
  const calls = [1, 2, 3].map(() => clients.unary(address, deliver, { data: bytes("x") }));
  await until("all run", () => running === 3);
  const stopped = listener.stop();
  expect(listener.stop()).toBe(stopped);
  const late = failureOf(clients.unary(address, deliver, {}, { timeoutMs: 2_000 }));
  expect(await late).toMatchObject({ code: "unavailable" });
  gate.resolve();
  expect(await Promise.all(calls)).toHaveLength(3);
  await stopped;
});

test("C10: a call that does not end is cut off when the grace is over, and its caller is told", async () => {
  for (const tls of [null, cluster.member("s")]) {
    let running = false;
    const route = deliverRoute(() => {
      running = true;
      return new Promise(() => {});
    });
    const { random, clock } = runtime;
    const listener = listen({
      tls,
      routes: [route],
      graceMs: 50,
      runtime: { random, clock: withoutLong(clock) },
    });
    const clients = peers({ tls: () => tls && cluster.member("c") });
    const call = failureOf(clients.unary(addressOf(listener), deliver, {}));
    await until("it runs", () => running);
    await listener.stop(); // another grace would never be over
    expect(await call).toMatchObject({ code: "outcome_unknown" });
  }
});

test("C10: while traffic flows, each call at stop succeeds or fails typed, and none hangs", async () => {
  const listener = listen({ tls: cluster.member("s"), routes: [echo] });
  const clients = peers({ tls: () => cluster.member("c") });
  const codes = new Set<string>();
  let succeeded = 0;
  const callers = Array.from({ length: 32 }, async () => {
    for (;;) {
      try {
        await clients.unary(addressOf(listener), deliver, { data: bytes("x") });
        succeeded++;
      } catch (error) {
        codes.add((error as HedgerowError).code);
        return;
      }
    }
  });
  await until("traffic flows", () => succeeded > 500);
  await listener.stop();
  await Promise.all(callers);
  for (const code of codes) expect(["unavailable", "outcome_unknown"]).toContain(code);
});

/** The subject alternative names of the certificate that a new connection is shown. */
function namesShown(port: number): Promise<string> {
  const { key, cert, ca } = cluster.member("probe");
  return new Promise((resolve, reject) => {
    const options = { port, host: "127.0.0.1", key, cert, ca: [...ca], servername: "hedgerow" };
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().subjectaltname ?? "");
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

test("a renewed certificate is shown to new connections, and no call is lost on the way", async () => {
  const listener = listen({ tls: cluster.member("first"), routes: [echo] });
  const material = cluster.member("c");
  const clients = peers({ tls: () => material });
  let going = true;
  let calls = 0;
  const caller = async () => {
    for (; going; calls++) {
      await clients.unary(addressOf(listener), deliver, { data: bytes("x") });
    }
  };
  const callers = Promise.all(Array.from({ length: 8 }, caller));
  for (let i = 0; i < 10; i++) {
    const before = calls;
    await until("calls flow", () => calls > before + 1_000, 20_000);
    listener.renew(cluster.member(`renewal-${i}`));
    expect(await namesShown(listener.port)).toContain(`hedgerow://renewal-${i}/`);
  }
  going = false;
  await callers;
});

test("a client uses a renewed certificate from the next connection on", async () => {
  const next = new TestCluster();
  const ca = [cluster.authority.cert, next.authority.cert];
  let material = { ...cluster.member("c"), ca };
  const clients = peers({ tls: () => material });
  const listener = listen({ tls: { ...cluster.member("s"), ca }, routes: [echo] });
  await clients.unary(addressOf(listener), deliver, {});
  material = { ...next.member("c"), ca: [next.authority.cert] };
  // It trusts only the new authority now, under which the server has no certificate yet.
  const refused = await failureOf(clients.unary(addressOf(listener), deliver, {}));
  expect(refused).toMatchObject({ code: "unavailable" });
  listener.renew({ ...next.member("s"), ca });
  await clients.unary(addressOf(listener), deliver, {});
});

test("M4: a node of another cluster under the same authority is refused before any handler", async () => {
  let handled = 0;
  const count = async () => {
    handled++;
    return {};
  };
  const routes = [deliverRoute(count), serve(append, count), serve(announce, count)];
  const label = "table/grün & co";
  const listener = listen({ tls: cluster.member("s"), label, batched: [append], routes });
  const address = addressOf(listener);
  const material = cluster.member("c");
  const options = { tls: () => material, batched: [append] };
  for (const other of ["table/grau", undefined]) {
    const clients = peers({ ...options, label: other });
    const calls = [
      clients.unary(address, deliver, {}),
      clients.unary(address, announce, {}),
      clients.unary(address, append, {}),
      clients.unary(address, append, {}), // in a batch with the one before
    ];
    for (const call of lookedAtLater(calls)) {
      expect(await failureOf(call)).toMatchObject({ code: "other_cluster" });
    }
  }
  expect(handled).toBe(0);
  await peers({ ...options, label }).unary(address, deliver, {});
  expect(handled).toBe(1);
});

test("a listener that is stopped stays so", async () => {
  const listener = listen({ tls: cluster.member("s"), routes: [echo] });
  await listener.stop();
  listener.renew(cluster.member("s"));
  const { ca } = clientTls(cluster.member("c"));
  const call = fetch(`https://${addressOf(listener)}/`, { tls: { ca } as Bun.TLSOptions });
  expect(await failureOf(call)).toMatchObject({ code: "ECONNREFUSED" });
});
