import { HedgerowError } from "../errors.ts";
import { readBody } from "../rpc/body.ts";
import { MAX_KEY_BYTES, MAX_MESSAGE_BYTES, MAX_VALUE_BYTES } from "../store/limits.ts";

/** The largest body of a demo endpoint: a message, or a key, a space and a value. */
const MAX_TEXT_BYTES = Math.max(MAX_MESSAGE_BYTES, MAX_KEY_BYTES + 1 + MAX_VALUE_BYTES);

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The body as text. Throws `too_large`, or `invalid_argument` where it is not UTF-8. */
export async function readText(request: Request): Promise<string> {
  const bytes = await readBody(request, "request", MAX_TEXT_BYTES);
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw new HedgerowError("invalid_argument", "the body is not UTF-8: encode it", { cause });
  }
}
