import { expect, test } from "bun:test";
import type { StreamInput } from "../../../../src/rpc/port.ts";
import { TestCluster } from "../../kit/cluster.ts";
import { addressOf, listen, peers } from "../../kit/nodes.ts";
import { echoStream, KIND } from "../../kit/streams.ts";
import { until } from "../../kit/wait.ts";

const cluster = new TestCluster();

test("1,000 streams, each with 1,000 messages both ways", async () => {
  const tls = cluster.member("s");
  const listener = listen({ tls, streamRoutes: [echoStream] });
  const material = cluster.member("c");
  const clients = peers({ tls: () => material });
  const open = (input: StreamInput) => clients.stream(addressOf(listener), KIND, {}, input);
  const residentMb = () => process.memoryUsage.rss() / 2 ** 20;
  const padding = "x".repeat(80);
  const one = async (id: number) => {
    async function* input() {
      for (let i = 0; i < 1_000; i++) yield `${id}:${i}:${padding}`;
    }
    let count = 0;
    for await (const reply of await open(input())) {
      // Not by expect: a million of them would be what is measured.
      if (Buffer.from(reply).toString() !== `${id}:${count++}:${padding}`) throw new Error("mixed");
    }
    expect(count).toBe(1_000);
  };
  Bun.gc(true);
  const before = residentMb();
  let most = before;
  const watching = setInterval(() => {
    most = Math.max(most, residentMb());
  }, 50);
  await Promise.all(Array.from({ length: 1_000 }, (_, id) => one(id)));
  clearInterval(watching);
  console.log("memory grew by", most - before); // for whoever started this
  await until(
    "memory falls back",
    () => {
      Bun.gc(true);
      return residentMb() - before < 100;
    },
    30_000,
  );
}, 120_000);
