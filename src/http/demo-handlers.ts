import type { MessageHandler } from "../node/api.ts";
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
} {
  const at = () => `[${options.hostname}/${options.address()}] received`;
  const on = () => rfc3339(options.clock.wallMicros());
  return {
    onSend: (data) => `leader ${at()} the message [${textOf(data)}] on ${on()}`,
    onBroadcast: (data) => `node ${at()} the broadcast message [${textOf(data)}] on ${on()}`,
  };
}

function textOf(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}
