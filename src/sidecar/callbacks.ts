import { isLoopback } from "../http/hosts.ts";
import type { MessageHandler } from "../node/api.ts";
import type { Logger } from "../observe/logger.ts";
import { reread } from "../runtime/reread.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { readSecretFile } from "../runtime/secret-file.ts";
import { bareHost, Callback, type CallbackOptions } from "./callback.ts";
import { parseKeys } from "./signature.ts";

const KEY_FLAG = "--callback-key-file";
/** The file of keys is read again so often, in milliseconds. */
export const RELOAD_KEYS_MS = 5_000;

export interface CallbacksOptions {
  /** null: messages of this kind are not for the service. */
  readonly onSend: URL | null;
  readonly onBroadcast: URL | null;
  /** null: requests are not signed. */
  readonly keyFile: string | null;
  readonly about: CallbackOptions["about"];
  /** Bytes of a reply. Default 4 MiB. */
  readonly maxReplyBytes?: number | undefined;
  readonly runtime: Runtime;
  readonly logger: Logger;
}

/** Handlers that a service in another process answers for, until `close`. */
export interface Callbacks {
  readonly handlers: { readonly onSend?: MessageHandler; readonly onBroadcast?: MessageHandler };
  close(): void;
}

/** Throws `invalid_argument` for a file of keys that cannot serve. */
export async function openCallbacks(options: CallbacksOptions): Promise<Callbacks> {
  const { onSend, onBroadcast, keyFile, logger } = options;
  const keys = keyFile === null ? NO_KEYS : await openKeys(keyFile, options);
  const open = (kind: CallbackOptions["kind"], url: URL | null) =>
    url === null ? null : new Callback({ ...options, kind, url, keys: keys.current });
  const [send, broadcast] = [open("send", onSend), open("broadcast", onBroadcast)];
  const away = [onSend, onBroadcast].find((url) => url !== null && !isLoopback(bareHost(url)));
  if (keyFile === null && away) {
    const mend = `give ${KEY_FLAG}, so that it can tell`;
    logger.warn(`the service at ${away.host} cannot know who sends it messages: ${mend}`);
  }
  return {
    handlers: {
      ...(send !== null && { onSend: send.handle }),
      ...(broadcast !== null && { onBroadcast: broadcast.handle }),
    },
    close() {
      keys.close();
      send?.close();
      broadcast?.close();
    },
  };
}

interface Keys {
  current(): readonly string[];
  close(): void;
}

const NO_KEYS: Keys = { current: () => [], close() {} };

async function openKeys(path: string, { runtime, logger }: CallbacksOptions): Promise<Keys> {
  let warned: string | null = null;
  const read = async () => {
    const { text, warning } = await readSecretFile(KEY_FLAG, path);
    if (warning !== null && warning !== warned) logger.warn(warning);
    warned = warning;
    return parseKeys(text, `${KEY_FLAG} ${path}`);
  };
  let current = await read();
  const close = reread({
    clock: runtime.clock,
    everyMs: RELOAD_KEYS_MS,
    first: current,
    read,
    textOf: (keys) => keys.join("\n"),
    onChange: (keys) => {
      current = keys;
      logger.info("new callback keys in use", { keys: keys.length });
    },
    onProblem: (problem) => {
      const message = "callback keys not usable, those read before stay in use";
      logger.warn(message, { error: problem });
    },
  });
  return { current: () => current, close };
}
