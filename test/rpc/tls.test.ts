import { expect, test } from "bun:test";
import { clientTls, type TlsMaterial } from "../../src/rpc/tls.ts";
import { TestCluster, validity } from "./kit/cluster.ts";
import { addressOf, bytes, deliver, deliverRoute, listen, peers } from "./kit/nodes.ts";
import { failureOf } from "./kit/wait.ts";

const cluster = new TestCluster();
const NEVER_OR_CUT = ["unavailable", "outcome_unknown"];

/** A node of the cluster that counts the calls that reach it. */
function guarded() {
  const calls: string[] = [];
  const route = deliverRoute(async ({ data }) => {
    calls.push(Buffer.from(data).toString());
    return { data };
  });
  const listener = listen({ tls: cluster.member("server"), routes: [route] });
  return { calls, address: addressOf(listener) };
}

function callAs(material: TlsMaterial | null, address: string) {
  const clients = peers({ tls: () => material });
  return clients.unary(address, deliver, { data: bytes("x") }, { timeoutMs: 5_000 });
}

test("members of the cluster talk, whatever their addresses", async () => {
  const { calls, address } = guarded();
  const reply = await callAs(cluster.member("client"), address);
  expect(reply.data).toEqual(bytes("x"));
  expect(calls).toEqual(["x"]);
});

test("C6: outsiders are refused at the handshake and reach no handler", async () => {
  const { calls, address } = guarded();
  const foreign = new TestCluster();
  const expired = cluster.member("late", validity(-7_200_000, -3_600_000));
  const outsiders: Record<string, TlsMaterial | null> = {
    "another cluster's certificate": {
      ...foreign.member("x"),
      ca: [cluster.authority.cert],
    },
    "an expired certificate": expired,
    "plain text": null,
  };
  for (const [what, material] of Object.entries(outsiders)) {
    const error = await failureOf(callAs(material, address));
    expect([what, NEVER_OR_CUT.includes((error as { code: string }).code)]).toEqual([what, true]);
  }
  const { ca, serverName } = clientTls(cluster.member("x"));
  const anonymous = { ca, serverName } as Bun.TLSOptions;
  for (const protocol of ["http2", "http1.1"] as const) {
    const call = fetch(`https://${address}/`, { method: "POST", tls: anonymous, protocol });
    expect(await failureOf(call)).toBeInstanceOf(Error);
  }
  expect(calls).toEqual([]);
});

test("a member sends nothing to a server that is not of its cluster", async () => {
  const calls: unknown[] = [];
  const impostor = new TestCluster();
  const route = deliverRoute(async ({ data }) => {
    calls.push(data);
    return {};
  });
  // It accepts everybody's certificate, so that it is the client who refuses.
  const material = { ...impostor.member("s"), ca: [cluster.authority.cert] };
  const address = addressOf(listen({ tls: material, routes: [route] }));
  const error = await failureOf(callAs(cluster.member("client"), address));
  expect(error).toMatchObject({ code: "unavailable" });
  const plain = addressOf(listen({ routes: [route] }));
  const cut = await failureOf(callAs(cluster.member("client"), plain));
  expect(cut).toMatchObject({ code: "outcome_unknown" });
  expect(calls).toEqual([]);
});

test("certificates of the two newest authorities are accepted from each other", async () => {
  const next = new TestCluster();
  const ca = [next.authority.cert, cluster.authority.cert];
  const calls: unknown[] = [];
  const route = deliverRoute(async ({ data }) => {
    calls.push(data);
    return {};
  });
  const old = { ...cluster.member("old"), ca };
  const renewed = { ...next.member("new"), ca };
  const oldServer = addressOf(listen({ tls: old, routes: [route] }));
  const newServer = addressOf(listen({ tls: renewed, routes: [route] }));
  await callAs(renewed, oldServer);
  await callAs(old, newServer);
  expect(calls).toHaveLength(2);
});

test("a proxy that the environment names sees no call between peers", async () => {
  const { address } = guarded();
  const before = { ...process.env };
  for (const name of ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"]) {
    process.env[name] = "http://127.0.0.1:1";
  }
  try {
    const reply = await callAs(cluster.member("client"), address);
    expect(reply.data).toEqual(bytes("x"));
  } finally {
    for (const name of ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});
