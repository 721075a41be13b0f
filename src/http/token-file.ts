import type { Logger } from "../observe/logger.ts";
import { reread } from "../runtime/reread.ts";
import type { Clock } from "../runtime/runtime.ts";
import { readSecretFile } from "../runtime/secret-file.ts";
import type { Tokens } from "./access.ts";
import { type ListedToken, parseTokens, tokensOf } from "./tokens.ts";

const FLAG = "--client-token-file";
/** The file is read again so often, in milliseconds: a token that is taken off it counts for no longer. */
export const RELOAD_TOKENS_MS = 1_000;

/** Tokens of a file, which is read again when it changes, until `close`. */
export interface FileTokens extends Tokens {
  close(): void;
}

/** Throws `invalid_argument`, in one line, for a file that cannot serve. */
export async function openTokenFile(
  path: string,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<FileTokens> {
  let warned: string | null = null;
  const read = async () => {
    const { text, warning } = await readSecretFile(FLAG, path);
    if (warning !== null && warning !== warned) logger.warn(warning);
    warned = warning;
    return parseTokens(text, `${FLAG} ${path}`);
  };
  const first = await read();
  let current = tokensOf(first);
  const followers = new Set<() => void>();
  const close = reread({
    clock,
    everyMs: RELOAD_TOKENS_MS,
    first,
    read,
    textOf,
    onChange: (listed) => {
      current = tokensOf(listed);
      logger.info("new client tokens in use", { tokens: listed.length });
      for (const changed of followers) changed();
    },
    onProblem: (problem) => {
      logger.warn("client tokens not usable, those read before stay in use", { error: problem });
    },
  });
  return {
    permissionOf: (token) => current.permissionOf(token),
    onChange(changed) {
      followers.add(changed);
      return () => void followers.delete(changed);
    },
    close,
  };
}

function textOf(listed: readonly ListedToken[]): string {
  return listed.map(({ token, permission }) => `${permission} ${token}`).join("\n");
}
