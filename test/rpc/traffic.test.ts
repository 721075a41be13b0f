import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { GossipService } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import { prometheusText } from "../../src/observe/prometheus.ts";
import { trafficMetrics } from "../../src/rpc/metrics.ts";
import { serve } from "../../src/rpc/port.ts";
import { type MethodTraffic, Traffic } from "../../src/rpc/traffic.ts";
import { parseExposition, sampleOf } from "../observe/exposition.ts";
import { echoStream, KIND, texts, textsOf } from "./kit/streams.ts";
import { until } from "./kit/wait.ts";
import { addressOf, append, bytes, deliver, deliverRoute, listen, peers } from "./kit/nodes.ts";

function numbers({ begun, ok, errors, requestBytes, replyBytes }: MethodTraffic) {
  return { begun, ok, errors: Object.fromEntries(errors), requestBytes, replyBytes };
}

/** One asks, one serves, and each counts. */
function pair() {
  const asking = new Traffic();
  const serving = new Traffic();
  const routes = [
    deliverRoute(async ({ data }) => {
      if (data.length === 0) throw new HedgerowError("no_handler", "nobody is here");
      return { data: new Uint8Array(2 * data.length) };
    }),
    serve(append, async ({ key }) => {
      if (key === "bad") throw new HedgerowError("conflict", "it is there");
      return { timestamp: 1 };
    }),
    serve(GossipService.method.ping, async () => ({ digest: 1 })),
    serve(GossipService.method.sync, async () => ({})),
  ];
  const shared = { batched: [append], label: "traffic" };
  const listener = listen({ ...shared, routes, traffic: serving });
  const clients = peers({ ...shared, traffic: asking });
  return { asking, serving, listener, clients, address: addressOf(listener) };
}

test("both sides count the same calls, errors and bytes of messages", async () => {
  const { asking, serving, clients, address } = pair();
  const unanswered = (error: HedgerowError) => error.code;
  await clients.unary(address, deliver, { data: bytes("12345678") });
  expect(await clients.unary(address, deliver, {}).catch(unanswered)).toBe("no_handler");
  // A tag and a length each, and the bytes themselves.
  const expected = { begun: 2, ok: 1, errors: { no_handler: 1 }, requestBytes: 10, replyBytes: 18 };
  expect(numbers(asking.asked(deliver))).toEqual(expected);
  expect(numbers(serving.served(deliver))).toEqual(expected);
  expect(asking.asked(deliver).underWay).toBe(0);
});

test("calls that travel in a batch are counted one by one", async () => {
  const { asking, serving, clients, address } = pair();
  const keys = ["a", "bad", ...Array<string>(30).fill("c")];
  const calls = keys.map((key) => clients.unary(address, append, { key }));
  await Promise.allSettled(calls);
  expect(numbers(asking.asked(append))).toMatchObject({
    begun: 32,
    ok: 31,
    errors: { conflict: 1 },
  });
  expect(numbers(serving.served(append))).toEqual(numbers(asking.asked(append)));
});

test("who comes with another label, or none, is counted as a stranger and served nothing", async () => {
  const { serving, address } = pair();
  const foreign = peers({ label: "another" });
  const nameless = peers();
  for (const clients of [foreign, nameless]) {
    const call = clients.unary(address, deliver, { data: bytes("x") });
    expect(await call.catch(({ code }: HedgerowError) => code)).toBe("other_cluster");
  }
  expect(serving.strangers).toBe(2);
  expect(numbers(serving.served(deliver)).begun).toBe(0);
});

test("bytes of gossip are counted apart from those of calls, and lists apart from pings", async () => {
  const { asking, serving, clients, address } = pair();
  const { ping, sync } = GossipService.method;
  await clients.unary(address, deliver, { data: bytes("1234") });
  await clients.unary(address, ping, { label: "x" });
  await clients.unary(address, ping, { label: "x" });
  await clients.unary(address, sync, { cluster: { label: "12345" } });
  const gone = await clients
    .unary("127.0.0.1:1", ping, {})
    .catch(({ code }: HedgerowError) => code);
  expect(gone).toBe("unavailable");
  const metrics = parseExposition(prometheusText(trafficMetrics(asking)));
  const value = (name: string) => sampleOf(metrics, `hedgerow_${name}`);
  expect(value("cluster_transport_tx_packets_total")).toBe(3);
  expect(value("cluster_transport_tx_bytes_total")).toBe(6);
  expect(value("cluster_transport_tx_packets_failed_total")).toBe(1);
  expect(value("cluster_transport_rx_packets_total")).toBe(2);
  expect(value("cluster_transport_rx_bytes_total")).toBe(4);
  expect(value("cluster_transport_stream_tx_packets_total")).toBe(1);
  expect(value("cluster_transport_stream_tx_bytes_total")).toBe(9);
  expect(value("cluster_transport_streams")).toBe(0);
  expect(value("peer_tx_bytes_total")).toBe(6);
  expect(value("peer_rx_bytes_total")).toBe(10);
  const other = parseExposition(prometheusText(trafficMetrics(serving)));
  const served = (name: string) => sampleOf(other, `hedgerow_${name}`);
  expect(served("cluster_transport_rx_bytes_total")).toBe(6);
  expect(served("cluster_transport_tx_bytes_total")).toBe(4);
  expect(served("peer_tx_bytes_total")).toBe(10);
});

test("streams are counted on both sides, with their messages, until they have ended", async () => {
  const asking = new Traffic();
  const serving = new Traffic();
  const listener = listen({ streamRoutes: [echoStream], traffic: serving });
  const clients = peers({ traffic: asking });
  const more = Promise.withResolvers<string>();
  async function* input() {
    yield "12345";
    yield await more.promise;
  }
  const replies = (await clients.stream(addressOf(listener), KIND, {}, input()))[
    Symbol.asyncIterator
  ]();
  await replies.next();
  expect([asking.streams.open, serving.streams.open]).toEqual([1, 1]);
  more.resolve("678");
  await replies.next();
  expect((await replies.next()).done).toBe(true);
  expect(await textsOf(await clients.stream(addressOf(listener), KIND, {}, texts()))).toEqual([]);
  await until("both have ended", () => asking.streams.open + serving.streams.open === 0);
  const expected = { ended: 2, tx: { messages: 2, bytes: 8 }, rx: { messages: 2, bytes: 8 } };
  expect(asking.streams).toMatchObject({ opened: 2, taken: 0, ...expected });
  expect(serving.streams).toMatchObject({ opened: 0, taken: 2, ...expected });
});
