import { HedgerowError } from "../errors.ts";

/** Of all headers that carry metadata. */
const PREFIX = "hedgerow-";
export const SIGNATURE_HEADER = "hedgerow-signature";

const MIN_KEY_CHARACTERS = 16;
/** The key in use, and those that are on their way in or out. */
const MAX_KEYS = 4;

/** What of a request is signed. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query, as in the request's first line. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/**
 * The text that is signed, its lines joined by `\n`: the method, path and query, each header whose name begins with
 * `hedgerow-` as `name:value`, these lines sorted, and the body's SHA-256 in hexadecimal. Metadata that comes
 * later is signed, too, without a change on the other side: docs/SIDECAR.md.
 */
export function signedText({ method, target, headers, body }: SignedRequest): string {
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith(PREFIX) && name !== SIGNATURE_HEADER)
    .map(([name, value]) => `${name}:${value}`)
    .sort();
  const digest = new Bun.CryptoHasher("sha256").update(body).digest("hex");
  return [method, target, ...metadata, digest].join("\n");
}

/** The value of the header: one `v1=` and HMAC-SHA256 in hexadecimal per key, joined by commas. */
export function sign(request: SignedRequest, keys: readonly string[]): string {
  const text = signedText(request);
  return keys
    .map((key) => `v1=${new Bun.CryptoHasher("sha256", key).update(text).digest("hex")}`)
    .join(",");
}

/**
 * The keys of a file, a line each, beside empty ones and comments that begin with `#`. `source` names it. Throws
 * `invalid_argument`, never with a key.
 */
export function parseKeys(text: string, source: string): string[] {
  const lines = text.split("\n").map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const refuse = (mend: string) => new HedgerowError("invalid_argument", `${source} ${mend}`);
  if (keys.length === 0) throw refuse("holds no key: openssl rand -hex 32 makes one");
  if (keys.length > MAX_KEYS) throw refuse(`holds ${keys.length} keys: ${MAX_KEYS} at most`);
  if (keys.some((key) => key.length < MIN_KEY_CHARACTERS)) {
    throw refuse(
      `has a key short of ${MIN_KEY_CHARACTERS} characters: openssl rand -hex 32 makes one`,
    );
  }
  return keys;
}
