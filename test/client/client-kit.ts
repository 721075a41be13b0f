import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import { HttpListener } from "../../src/http/listener.ts";
import type { HedgerowNode } from "../../src/node/api.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { fakeNode } from "../http/fake-node.ts";

const clock = systemClock();
const open: HttpListener[] = [];

/** The URL of an http listener of a node, which `closeAll` stops. */
export function serving(replaced: Partial<HedgerowNode> = {}): string {
  const listener = new HttpListener({ address: "127.0.0.1:0", clock });
  open.push(listener);
  const node = fakeNode(replaced);
  listener.serve(
    createHttpApp({
      node,
      api: createClientApi(node, clock),
      hostname: "pod-1",
      rules: { boundHost: "127.0.0.1", hosts: [], origins: [] },
      logger: silentLogger,
      clock,
    }),
  );
  return `http://${listener.address}`;
}

export async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((listener) => listener.stop()));
}
