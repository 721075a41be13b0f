import { HedgerowError } from "../errors.ts";
import type { Permission, Tokens } from "./access.ts";

/** So that nobody guesses one; `openssl rand -hex 32` prints 64. */
const MIN_TOKEN_CHARACTERS = 16;
const MAX_TOKENS = 256;

const LINE = /^(rw|ro)\s+([\w.~+/-]+=*)$/;
const PERMISSIONS: Readonly<Record<string, Permission>> = { rw: "write", ro: "read" };

/** A token, and what it is good for. */
export interface ListedToken {
  readonly token: string;
  readonly permission: Permission;
}

/**
 * The tokens of a file: lines `rw TOKEN` and `ro TOKEN`, empty ones, and comments that begin with `#`. `source`
 * names it. Throws `invalid_argument` with the line's number, never with a token.
 */
export function parseTokens(text: string, source: string): ListedToken[] {
  const listed = new Map<string, Permission>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const refuse = (mend: string) =>
      new HedgerowError("invalid_argument", `${source} line ${index + 1}: ${mend}`);
    const [, word = "", token = ""] = LINE.exec(line) ?? [];
    const permission = PERMISSIONS[word];
    if (permission === undefined) {
      throw refuse("give rw TOKEN or ro TOKEN, the token of letters, digits and - . _ ~ + /");
    }
    if (token.length < MIN_TOKEN_CHARACTERS) {
      const mend = `the token is short of ${MIN_TOKEN_CHARACTERS} characters: openssl rand -hex 32 makes one`;
      throw refuse(mend);
    }
    if (listed.has(token)) throw refuse("the token is listed before: list it once");
    listed.set(token, permission);
  }
  if (listed.size === 0) {
    throw new HedgerowError("invalid_argument", `${source} lists no token: give rw TOKEN`);
  }
  if (listed.size > MAX_TOKENS) {
    const message = `${source} lists ${listed.size} tokens: ${MAX_TOKENS} at most`;
    throw new HedgerowError("invalid_argument", message);
  }
  return [...listed].map(([token, permission]) => ({ token, permission }));
}

/** Compares digests, all of them, so that the time tells nothing of a token. */
export function tokensOf(listed: readonly ListedToken[]): Tokens {
  const known = listed.map(({ token, permission }) => ({ digest: digestOf(token), permission }));
  return {
    permissionOf(token) {
      const shown = digestOf(token);
      let found: Permission | null = null;
      for (const { digest, permission } of known) {
        if (crypto.timingSafeEqual(digest, shown)) found = permission;
      }
      return found;
    },
    onChange: () => () => {}, // they stay
  };
}

function digestOf(token: string): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(token).digest();
}
