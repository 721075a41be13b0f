import type { ClientLimits } from "../../src/http/admission.ts";
import { createHttpApp } from "../../src/http/app.ts";
import { createClientApi } from "../../src/http/client-api.ts";
import type { GuardRules } from "../../src/http/guard.ts";
import type { HedgerowNode } from "../../src/node/api.ts";
import type { LogFields, Logger } from "../../src/observe/logger.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { fakeNode } from "./fake-node.ts";

export interface AppKit {
  /** Asks the app, as `http://127.0.0.1:9090` unless the headers say otherwise. */
  ask(path: string, init?: RequestInit): Promise<Response>;
  /** Asks with a POST and gives status and text. */
  post(path: string, body?: BodyInit): Promise<{ status: number; text: string }>;
  /** Everything that was logged, at any level. */
  readonly logged: string[];
}

export function appKit(
  replaced: Partial<HedgerowNode> = {},
  rules: Partial<GuardRules> = {},
  clock: Clock = systemClock(),
  limits?: ClientLimits,
): AppKit {
  const logged: string[] = [];
  const log = (message: string, fields?: LogFields) =>
    void logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const node = fakeNode(replaced);
  const app = createHttpApp({
    node,
    api: createClientApi(node, clock, limits),
    hostname: "pod-1",
    rules: { boundHost: "127.0.0.1", hosts: [], origins: [], ...rules },
    logger,
    clock,
  });
  const ask = async (path: string, init: RequestInit = {}) =>
    app.fetch(new Request(`http://127.0.0.1:9090${path}`, init));
  return {
    ask,
    async post(path, body) {
      const response = await ask(path, { method: "POST", ...(body !== undefined && { body }) });
      return { status: response.status, text: await response.text() };
    },
    logged,
  };
}
