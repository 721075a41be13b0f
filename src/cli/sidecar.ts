import { HedgerowError } from "../errors.ts";
import type { HedgerowNode } from "../node/api.ts";
import type { Logger } from "../observe/logger.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Callbacks } from "../sidecar/callbacks.ts";
import type { ServeConfig } from "./flags.ts";

/**
 * The handlers of the services that the flags name. `node` is the one that they answer for, once it has started.
 * Throws `invalid_argument`.
 */
export async function openSidecar(
  config: ServeConfig,
  node: Promise<HedgerowNode>,
  { runtime, logger }: { readonly runtime: Runtime; readonly logger: Logger },
): Promise<Callbacks> {
  const { onSend, onBroadcast, callbackKeyFile: keyFile } = config;
  if (onSend === null && onBroadcast === null) {
    if (keyFile === null) return { handlers: {}, close() {} };
    const mend = "give --on-send or --on-broadcast with it";
    const message = `--callback-key-file ${keyFile} signs nothing: ${mend}`;
    throw new HedgerowError("invalid_argument", message);
  }
  const { openCallbacks } = await import("../sidecar/callbacks.ts");
  const { labelOf } = await import("../node/options.ts");
  const label = labelOf(config);
  const about = async () => {
    const { address, token } = await node;
    return { label, node: address, token: token ?? "" };
  };
  return openCallbacks({
    ...{ onSend, onBroadcast, keyFile, about, runtime, logger },
    maxReplyBytes: config.maxMessage,
  });
}
