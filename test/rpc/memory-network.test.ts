import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { type EndpointOptions, PeerEndpoint } from "../../src/rpc/endpoint.ts";
import { ProcessNetwork } from "../../src/rpc/memory-network.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { echoStream, KIND, streamRoute, texts, textsOf } from "./kit/streams.ts";
import { failureOf, until } from "./kit/wait.ts";

const { clock } = systemRuntime();
const ADDRESS = "a:1";

/** A node at the address, and the way to it from another one. */
function network(options: Partial<EndpointOptions>) {
  const net = new ProcessNetwork();
  const endpoint = new PeerEndpoint({ clock, logger: silentLogger, routes: [], ...options });
  const close = net.listen(ADDRESS, endpoint);
  const clients = connectPeers({ clock, tls: () => null, network: net });
  return { clients, close };
}

test("streams pass both ways at once, however long", async () => {
  const { clients } = network({ streamRoutes: [echoStream] });
  const many = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  expect(await textsOf(await clients.stream(ADDRESS, KIND, {}, texts(...many)))).toEqual(many);
  expect(await textsOf(await clients.stream(ADDRESS, KIND, {}, texts()))).toEqual([]);
  await clients.close();
});

/** Replies for ever; tells of the last one's end. */
function endless() {
  const ended = Promise.withResolvers<void>();
  const route = streamRoute(async function* (_, { signal }) {
    signal.addEventListener("abort", () => ended.resolve(), { once: true });
    for (;;) {
      yield "again";
      await Bun.sleep(1);
    }
  });
  return { route, ended: ended.promise };
}

test("a stream whose caller gives up ends on the other side", async () => {
  const { route, ended } = endless();
  const { clients } = network({ streamRoutes: [route] });
  const giveUp = new AbortController();
  const { signal } = giveUp;
  const replies = await clients.stream(ADDRESS, KIND, {}, texts(), { signal, timeoutMs: 60_000 });
  await replies.next();
  giveUp.abort();
  await ended;
  expect(await failureOf(textsOf(replies))).toMatchObject({ code: "canceled" });
  await clients.close();
});

test("a stream to a node that closes ends with an error of ours", async () => {
  const { route, ended } = endless();
  const { clients, close } = network({ streamRoutes: [route] });
  const replies = await clients.stream(ADDRESS, KIND, {}, texts(), { timeoutMs: 60_000 });
  await replies.next();
  close();
  await ended;
  const error = await failureOf(textsOf(replies));
  expect(error).toBeInstanceOf(HedgerowError);
  expect(["stopped", "outcome_unknown"]).toContain((error as HedgerowError).code);
  const again = clients.stream(ADDRESS, KIND, {}, texts());
  expect(await failureOf(again)).toMatchObject({ code: "unavailable" });
  await clients.close();
});

test("a stream whose caller closes ends on the other side", async () => {
  const { route, ended } = endless();
  const { clients } = network({ streamRoutes: [route] });
  const replies = await clients.stream(ADDRESS, KIND, {}, texts(), { timeoutMs: 60_000 });
  await replies.next();
  await clients.close();
  await ended;
  expect(await failureOf(textsOf(replies))).toBeInstanceOf(HedgerowError);
});

test("a caller without a pause leaves the process' timers their turn", async () => {
  const { clients } = network({ streamRoutes: [echoStream] });
  let fired = false;
  setTimeout(() => {
    fired = true;
  }, 5);
  const asking = (async () => {
    for (let calls = 0; calls < 1_000_000; calls++) {
      if (fired) return calls;
      await textsOf(await clients.stream(ADDRESS, KIND, {}, texts("x")));
    }
    return null;
  })();
  await until("the timer fires", () => fired);
  expect(await asking).not.toBeNull();
  await clients.close();
});
