import { expect, test } from "bun:test";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { fakeNode } from "./fake-node.ts";

const clock = systemClock();
const node = fakeNode({});
const TYPES = [
  ["application/connect+json", "{}"],
  ["application/grpc-web+json", "{}"],
] as const;

/** The first bytes of the answer to WatchMembers, which has no end. */
function watcher(maxStreams: number) {
  const app = createHttpApp({
    node,
    api: createClientApi(node, clock, { maxCalls: 10, maxStreams }),
    hostname: "pod-1",
    rules: { boundHost: "127.0.0.1", hosts: [], origins: [] },
    logger: silentLogger,
    clock,
  });
  const watch = async (address: string, type: string, message: string) => {
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);
    const request = new Request("http://127.0.0.1:9090/hedgerow.v1.HedgerowService/WatchMembers", {
      method: "POST",
      headers: { "content-type": type },
      body,
    });
    const server = { timeout() {}, requestIP: () => ({ address }) };
    const response = await app.fetch(request, server);
    const first = await response.body?.getReader().read();
    // gRPC-Web encodes messages as URLs do.
    return Buffer.from(first?.value ?? [])
      .toString()
      .replaceAll("%20", " ");
  };
  return { watch, stop: () => app.stop() };
}

test.each(TYPES)("each client has its own limit of streams (%s)", async (type, message) => {
  const { watch, stop } = watcher(1);
  const refusal = "streams of this client are open here already";
  expect(await watch("10.0.0.1", type, message)).not.toContain(refusal);
  expect(await watch("10.0.0.2", type, message)).not.toContain(refusal);
  expect(await watch("10.0.0.1", type, message)).toContain(refusal);
  stop();
});
