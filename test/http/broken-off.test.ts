import { connect } from "node:net";
import { expect, test } from "bun:test";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { until } from "../rpc/kit/wait.ts";
import { fakeNode } from "./fake-node.ts";

const clock = systemClock();

test.each([
  ["/put", "text/plain"],
  ["/hedgerow.v1.HedgerowService/Put", "application/json"],
  ["/hedgerow.v1.HedgerowService/Put", "application/grpc-web+proto"],
  ["/hedgerow.v1.HedgerowService/WatchLog", "application/connect+json"],
])("a caller of %s (%s) who leaves in mid-request is no defect", async (path, contentType) => {
  const logger = new RecordingLogger();
  const listener = new HttpListener({ address: "127.0.0.1:0", clock });
  await using closing = new AsyncDisposableStack();
  closing.defer(() => listener.stop());
  const node = fakeNode();
  const rules = { boundHost: "127.0.0.1", hosts: [], origins: [] };
  const api = createClientApi(node, clock);
  const app = createHttpApp({ node, api, hostname: "pod-1", rules, logger, clock });
  const arrived = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  listener.serve({
    async fetch(request, server) {
      arrived.resolve();
      const response = await app.fetch(request, server);
      answered.resolve();
      return response;
    },
    stop: () => app.stop(),
  });
  const [host, port] = listener.address.split(":");
  const socket = connect(Number(port), host);
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${contentType}\r\ncontent-length: 100\r\n\r\n{`,
  );
  await arrived.promise;
  socket.destroy();
  await answered.promise;
  await until("it is logged", () => logger.lines.some((line) => line.startsWith("http request ")));
  expect(logger.lines.filter((line) => /failed/.test(line))).toEqual([]);
});
