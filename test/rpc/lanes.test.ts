import { expect, test } from "bun:test";
import type { DescMessage } from "@bufbuild/protobuf";
import { GossipService } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { BATCHED_METHODS } from "../../src/node/routes.ts";
import { serve } from "../../src/rpc/port.ts";
import { TestCluster } from "./kit/cluster.ts";
import { addressOf, announce, append, bytes, deliver, echo, listen, peers } from "./kit/nodes.ts";
import { until } from "./kit/wait.ts";

const { deliverBroadcast } = PeerService.method;
const { ping, pingIndirect, sync } = GossipService.method;
const LONG = { timeoutMs: 20_000 };
const cluster = new TestCluster();

/** Methods of which one peer takes this many requests at once. */
const MAX_LONG = 48;

/** A peer whose store and whose application's handlers hang, but which is alive. */
function stalledPeer(secure: boolean) {
  const { promise: never } = Promise.withResolvers<never>();
  const hanging = { append: 0, deliver: 0 };
  const listener = listen({
    tls: secure ? cluster.member("s") : null,
    batched: BATCHED_METHODS,
    routes: [
      serve(append, () => {
        hanging.append++;
        return never;
      }),
      serve(deliver, () => {
        hanging.deliver++;
        return never;
      }),
      serve(deliverBroadcast, async ({ data }) => ({ data })),
      serve(announce, async () => ({})),
      serve(ping, async () => ({})),
      serve(pingIndirect, async () => ({})),
      serve(sync, async () => ({})),
    ],
  });
  const material = secure ? cluster.member("c") : null;
  const clients = peers({ tls: () => material, batched: BATCHED_METHODS });
  const address = addressOf(listener);
  /** A call whose end nobody waits for. */
  const hang = (method: "append" | "deliver") =>
    void clients
      .unary<DescMessage, DescMessage>(address, PeerService.method[method], {}, LONG)
      .catch(() => {});
  return { clients, address, hanging, hang };
}

for (const secure of [false, true]) {
  test(`C2: while appends hang, membership and leadership are heard of in time (TLS ${secure})`, async () => {
    const { clients, address, hanging, hang } = stalledPeer(secure);
    for (let request = 1; request <= 4; request++) {
      for (let i = 0; i < 3; i++) hang("append");
      await until("they are under way", () => hanging.append === 3 * request);
    }
    for (let i = 0; i < 300; i++) hang("append");
    const timeoutMs = 1_000;
    for (let i = 0; i < 5; i++) {
      await clients.unary(address, ping, {}, { timeoutMs });
      await clients.unary(address, announce, {}, { timeoutMs });
    }
    await clients.unary(address, sync, {}, { timeoutMs });
    await clients.unary(address, pingIndirect, {}, { timeoutMs });
  });

  test(`C7: handlers that hang hold up neither other methods nor membership (TLS ${secure})`, async () => {
    const { clients, address, hanging, hang } = stalledPeer(secure);
    for (let i = 0; i <= MAX_LONG; i++) hang("deliver");
    await until("they hang", () => hanging.deliver === MAX_LONG);
    const timeoutMs = 1_000;
    const reply = await clients.unary(
      address,
      deliverBroadcast,
      { data: bytes("x") },
      { timeoutMs },
    );
    expect(reply.data).toEqual(bytes("x"));
    await clients.unary(address, ping, {}, { timeoutMs });
    await clients.unary(address, announce, {}, { timeoutMs });
    expect(hanging.deliver).toBe(MAX_LONG);
  });
}

test("C2: users' calls that hang, to however many peers, leave requests for membership", async () => {
  const { promise: never } = Promise.withResolvers<never>();
  let hanging = 0;
  const slow = serve(deliver, () => {
    hanging++;
    return never;
  });
  const stuck = Array.from({ length: 120 }, () => addressOf(listen({ routes: [slow] })));
  const healthy = addressOf(listen({ routes: [echo, serve(ping, async () => ({}))] }));
  const clients = peers();
  const giveUp = new AbortController();
  for (const address of stuck) {
    for (let i = 0; i < 3; i++) {
      clients.unary(address, deliver, {}, { signal: giveUp.signal }).catch(() => {});
    }
  }
  await until("all requests that users may have are taken", () => hanging === 192);
  await clients.unary(healthy, ping, {}, { timeoutMs: 1_000 });
  giveUp.abort();
  await clients.unary(healthy, deliver, {}, { timeoutMs: 1_000 });
});
