import { afterEach } from "bun:test";
import type { MessageContext } from "../../src/node/api.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { Callback, type CallbackOptions } from "../../src/sidecar/callback.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";

export const runtime = systemRuntime();

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

export function atEnd(close: () => unknown): void {
  opened.push(close);
}

/** A service that answers as told. */
export function service(fetch: (request: Request) => Response | Promise<Response>): URL {
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch, development: false });
  atEnd(() => server.stop(true));
  return new URL(`http://127.0.0.1:${server.port}/messages`);
}

export function callback(url: URL, replaced: Partial<CallbackOptions> = {}) {
  const logger = new RecordingLogger();
  const made = new Callback({
    kind: "send",
    url,
    keys: () => [],
    about: async () => ({ label: "a label/ü", node: "10.0.0.1:8080", token: "1735787045123456" }),
    runtime,
    logger,
    ...replaced,
  });
  atEnd(() => made.close());
  return { handle: made.handle, logger };
}

/** What messaging gives a handler, which ends with `abort`. */
export function context(replaced: Partial<MessageContext> = {}): MessageContext {
  const { signal } = new AbortController();
  return { signal, timeoutMs: 5_000, id: "ID", attempt: 1, from: "10.0.0.2:8080", ...replaced };
}

export const bytes = (text: string) => new TextEncoder().encode(text);

export async function problemOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "none",
    (error: Error) => error.message,
  );
}
