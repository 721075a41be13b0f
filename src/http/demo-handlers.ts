import type { MessageHandler, StreamHandler } from "../node/api.ts";
import type { Clock } from "../runtime/runtime.ts";
import { rfc3339 } from "./time.ts";

export interface DemoHandlersOptions {
  readonly hostname: string;
  /** The node's `host:port`, known once it has started. */
  readonly address: () => string;
  readonly clock: Clock;
}

/** The replies of a node whose user gave it no handlers of its own. */
export function demoHandlers(options: DemoHandlersOptions): {
  readonly onSend: MessageHandler;
  readonly onBroadcast: MessageHandler;
  readonly onStream: StreamHandler;
  readonly onStreamBroadcast: StreamHandler;
} {
  const at = () => `[${options.hostname}/${options.address()}] received`;
  const on = () => rfc3339(options.clock.wallMicros());
  return {
    onSend: (data) => `leader ${at()} the message [${textOf(data)}] on ${on()}`,
    onBroadcast: (data) => `node ${at()} the broadcast message [${textOf(data)}] on ${on()}`,
    onStream: (messages) => twice(messages, "one", "two"),
    onStreamBroadcast: (messages) =>
      twice(messages, `1_${options.hostname}`, `2_${options.hostname}`),
  };
}

/** Two replies to each message. */
async function* twice(messages: AsyncIterable<unknown>, first: string, second: string) {
  for await (const _ of messages) {
    yield first;
    yield second;
  }
}

function textOf(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}
