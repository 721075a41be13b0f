import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { HttpListener } from "../../src/http/listener.ts";
import type * as api from "../../src/node/api.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { fakeNode } from "../http/fake-node.ts";
import { cli } from "./cli-kit.ts";

/** Answers over real HTTP in the name of a fake node, for the time of `use`. */
export async function withServer<T>(
  replaced: Partial<api.HedgerowNode>,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const clock = systemClock();
  const node = fakeNode(replaced);
  const listener = new HttpListener({ address: "127.0.0.1:0", clock });
  listener.serve(
    createHttpApp({
      node,
      api: createClientApi(node, clock),
      hostname: "pod-1",
      rules: { boundHost: listener.host, hosts: [], origins: [] },
      logger: silentLogger,
      clock,
    }),
  );
  try {
    return await use(`http://${listener.address}`);
  } finally {
    await listener.stop();
  }
}

export const run = (replaced: Partial<api.HedgerowNode>, ...argv: string[]) =>
  withServer(replaced, (url) => cli([...argv, "--server", url]));
