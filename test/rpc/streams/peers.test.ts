import { expect, test } from "bun:test";
import { TestCluster } from "../kit/cluster.ts";
import { addressOf, listen, peers } from "../kit/nodes.ts";
import { echoStream, KIND, texts, textsOf } from "../kit/streams.ts";

const cluster = new TestCluster();
const SECURE = [false, true];

test.each(SECURE)("what is sent comes back, in order (TLS %p)", async (secure) => {
  const listener = listen({ tls: secure ? cluster.member("s") : null, streamRoutes: [echoStream] });
  const material = secure ? cluster.member("c") : null;
  const clients = peers({ tls: () => material });
  const open = (...all: string[]) => clients.stream(addressOf(listener), KIND, {}, texts(...all));
  expect(await textsOf(await open("one", "", "three"))).toEqual(["one", "", "three"]);
  expect(await textsOf(await open())).toEqual([]);
  const many = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  expect(await textsOf(await open(...many))).toEqual(many);
});
